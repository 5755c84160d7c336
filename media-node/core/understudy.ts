import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Clock } from "../time/clock.ts";
import { RecentSamples } from "./recent-samples.ts";
import type { Sample } from "./sample.ts";
import type { Source, SourceSink } from "./source.ts";
import type { StreamDescription } from "./stream.ts";
import type { OpenedSource } from "./open-url.ts";

export interface UnderstudyOptions {
  readonly clock: Clock;
  /** Media came, or the source ended. */
  readonly onChange: () => void;
}

const keptMs = 10_000;
const keptBytes = 32 * 1024 * 1024;

/** A source that plays beside the one viewers see: keeps its recent media until it takes over or is let go. */
export class Understudy {
  readonly source: Source;
  readonly url: string;
  readonly openMs: number;
  readonly openedMs: number;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #recent = new RecentSamples(keptMs, keptBytes);
  #description: StreamDescription;
  #sink: SourceSink | undefined;
  #ended: CloseReason | undefined;
  #firstSampleMs: number | undefined;
  #lastSampleMs: number | undefined;

  constructor({ source, url, openMs }: OpenedSource, { clock, onChange }: UnderstudyOptions) {
    this.source = source;
    this.url = url;
    this.openMs = openMs;
    this.#clock = clock;
    this.openedMs = clock.nowMs();
    this.#description = source.description;
    this.#recent.describe(source.description.tracks);
    this.#onChange = onChange;
  }

  /** Begins to play; media may come in this call. A source that cannot be started is one that ended. */
  start(): void {
    try {
      this.source.start({
        onSample: (sample) => (this.#sink ? this.#sink.onSample(sample) : this.#keep(sample)),
        onDescription: (description) => this.#describe(description),
        onEnd: (reason) => this.#end(reason),
      });
    } catch (thrown) {
      this.#end({ code: "not-usable", message: messageOf(thrown) });
    }
  }

  get description(): StreamDescription {
    return this.#description;
  }

  /** Set when the source is over. */
  get ended(): CloseReason | undefined {
    return this.#ended;
  }

  /** Since when it has delivered, on the clock that never jumps. */
  get firstSampleMs(): number | undefined {
    return this.#firstSampleMs;
  }

  get lastSampleMs(): number | undefined {
    return this.#lastSampleMs;
  }

  /** Whether a decoder could begin with what has come. */
  get isPlayable(): boolean {
    return this.#ended === undefined && this.#recent.since(0).length > 0;
  }

  /** What it has sent, from a key frame on that is at least `atLeastMs` old where there is one. */
  held(atLeastMs = Number.MAX_SAFE_INTEGER): readonly Sample[] {
    return this.#recent.since(atLeastMs);
  }

  /** How much media time `samples` span. */
  spanMs(samples: readonly Sample[]): number {
    const [first] = samples;
    const timescale = this.#description.tracks.find(({ id }) => id === first?.trackId)?.timescale;
    const last = samples.findLast(({ trackId }) => trackId === first?.trackId);
    return first && last && timescale ? ((last.dts - first.dts) * 1000) / timescale : 0;
  }

  /** From now on `sink` hears the source; what was held is the caller's to take before. */
  handOver(sink: SourceSink): void {
    this.#sink = sink;
    this.#recent.clear();
    if (this.#ended) sink.onEnd(this.#ended);
  }

  close(reason: CloseReason): Promise<void> {
    return this.source.close(reason);
  }

  #end(reason: CloseReason): void {
    this.#ended = reason;
    if (this.#sink) this.#sink.onEnd(reason);
    else this.#onChange();
  }

  #keep(sample: Sample): void {
    const nowMs = this.#clock.nowMs();
    this.#firstSampleMs ??= nowMs;
    this.#lastSampleMs = nowMs;
    const track = this.#description.tracks.find(({ id }) => id === sample.trackId);
    if (track) this.#recent.push(sample, track);
    this.#onChange();
  }

  #describe(description: StreamDescription): void {
    this.#description = description;
    if (this.#sink) this.#sink.onDescription(description);
    else this.#recent.describe(description.tracks);
  }
}
