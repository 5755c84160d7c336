import type { EpochStore } from "./cluster/store/contract.ts";
import { hearthEpochMs } from "./core/epoch.ts";
import type { Sample } from "./core/sample.ts";
import type { OpenSource, Source, SourceSink } from "./core/source.ts";
import type { StreamDescription } from "./core/stream.ts";
import type { StreamName } from "./core/stream-name.ts";
import type { Track } from "./core/track.ts";
import { WrappedSource } from "./core/wrapped-source.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import type { Clock } from "./time/clock.ts";

export interface AgreedEpochOptions {
  readonly storeOf: (vhost: string) => EpochStore | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Far more often than the store forgets: a source's clock drifts, and the store may lose what it knows. */
const renewEveryMs = 60_000;
/** Ticks since the epoch stay safe integers up to here. */
const maxTimescale = 10_000_000;

/**
 * Sources that do not state their epoch, as OvenMediaEngine's do not, get the one that all nodes agree on through the store,
 * and timestamps that count from Hearth's own: so edges number, name and write the same media alike, whenever they
 * joined, and go on in the same numbers when the origin begins anew. Without a store, or while it does not answer, a
 * source stays as it is.
 */
export function withAgreedEpoch(open: OpenSource, { storeOf, clock, logger }: AgreedEpochOptions): OpenSource {
  return async (url, options) => {
    const source = await open(url, options);
    const { stream, isProbe } = options;
    const { isEpochShared, originId, tracks } = source.description;
    const store = stream && storeOf(stream.vhost);
    const isTooFine = tracks.some(({ timescale }) => timescale > maxTimescale);
    if (!store || isProbe || isEpochShared || isTooFine) return source;
    const agree = (mediaMs: number, heldMs?: number): Promise<number> =>
      store.agreeEpoch(stream, originId, mediaMs, heldMs);
    try {
      const epochMs = await agree(clock.wallMs() - source.description.epochMs);
      return new AgreedSource(source, { agree, epochMs, stream, clock, logger });
    } catch (thrown) {
      logger.warn("no epoch could be agreed on: LL-HLS of this stream differs from other edges'", {
        app: stream.app,
        stream: stream.stream,
        error: messageOf(thrown),
      });
      return source;
    }
  };
}

interface Agreement {
  readonly agree: (mediaMs: number, heldMs?: number) => Promise<number>;
  /** Unix ms at which the source's timestamps are 0. */
  readonly epochMs: number;
  readonly stream: StreamName;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A source whose timestamps are moved to Hearth's epoch. */
class AgreedSource extends WrappedSource {
  readonly #agreement: Agreement;
  #tracks = new Map<number, { readonly track: Track; readonly shift: number }>();
  #hasDiffered = false;

  constructor(source: Source, agreement: Agreement) {
    super(source, agreement.clock, renewEveryMs);
    this.#agreement = agreement;
    this.#learn(source.description);
  }

  get description(): StreamDescription {
    return { ...this.source.description, epochMs: hearthEpochMs, isEpochShared: true };
  }

  start(sink: SourceSink): void {
    this.source.start({
      onSample: (sample) => {
        const known = this.#tracks.get(sample.trackId);
        if (!known) return;
        if (this.isDue) this.#renew(sample, known.track);
        sink.onSample({ ...sample, pts: sample.pts + known.shift, dts: sample.dts + known.shift });
      },
      onDescription: (description) => {
        this.#learn(description);
        sink.onDescription({ ...description, epochMs: hearthEpochMs, isEpochShared: true });
      },
      onEnd: (reason) => {
        this.stop();
        sink.onEnd(reason);
      },
    });
  }

  #learn({ tracks }: StreamDescription): void {
    const shiftMs = this.#agreement.epochMs - hearthEpochMs;
    this.#tracks = new Map(
      tracks.map((track) => [track.id, { track, shift: Math.round((shiftMs * track.timescale) / 1000) }]),
    );
  }

  #renew(sample: Sample, { timescale }: Track): void {
    this.isDue = false;
    const { agree, epochMs, logger, stream } = this.#agreement;
    const compare = async (): Promise<void> => {
      const agreed = await agree((sample.dts * 1000) / timescale, epochMs);
      if (agreed === epochMs || this.#hasDiffered) return;
      this.#hasDiffered = true;
      logger.warn("another edge goes by another epoch: they were parted from the store when they began", {
        app: stream.app,
        stream: stream.stream,
      });
    };
    // While the store is away, what holds goes on to hold.
    compare().catch(() => {});
  }
}
