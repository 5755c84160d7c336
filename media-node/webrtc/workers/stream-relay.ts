import type { Sample } from "../../core/sample.ts";
import type { Stream, StreamDescription } from "../../core/stream.ts";
import type { Track } from "../../core/track.ts";
import { messageOf } from "../../flow/errors.ts";
import type { Logger } from "../../flow/logger.ts";
import { PacketSlab } from "../../rtp/packet-slab.ts";
import { createPacketizer, type Packetizer } from "../../rtp/packetizer.ts";
import type { Clock } from "../../time/clock.ts";
import type { WebRtcConfig } from "../config.ts";
import { packSample } from "./packed-sample.ts";
import type { WorkerLink } from "./worker-link.ts";
import { recordKinds, sampleHeadBytes, withoutBytes } from "./worker-messages.ts";

export interface StreamRelayOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the application it belongs to. */
  readonly config: WebRtcConfig;
  /** The stream ended, and every worker was told. */
  readonly onEnd: () => void;
}

/** A sample that was cut already. */
interface CutSample {
  readonly record: Uint8Array;
  readonly trackId: number;
  readonly isKeyframe: boolean;
}

/** Of pictures kept for workers that join; more is no group of pictures worth bursting. */
const maxKeptBytes = 8 << 20;

/** One stream on its way to media workers: cut into packets once, written to the ring of each worker that has viewers of it. */
export class StreamRelay {
  readonly stream: Stream;
  readonly id: number;
  readonly #options: StreamRelayOptions;
  /** Viewers of this stream, by the worker they were placed in. */
  readonly #links = new Map<WorkerLink, number>();
  readonly #packetizers = new Map<number, { readonly track: Track; readonly packetizer: Packetizer | undefined }>();
  readonly #slab = new PacketSlab();
  readonly #leave: () => void;
  /** Pictures of each video track from its last key frame on, for workers that join. */
  #kept: CutSample[] = [];
  #keptBytes = 0;

  constructor(stream: Stream, id: number, options: StreamRelayOptions) {
    this.stream = stream;
    this.id = id;
    this.#options = options;
    for (const sample of stream.recentSamples()) this.#cut(sample, stream.track(sample.trackId)!);
    this.#leave = stream.addReader({
      onSample: (sample, track) => this.#onSample(sample, track),
      onDescription: (description, isDiscontinuity) => this.#onDescription(description, isDiscontinuity),
      onEnd: (reason) => {
        for (const link of this.#links.keys()) link.command({ type: "end", stream: id, reason });
        this.#links.clear();
        options.onEnd();
      },
    });
  }

  /** Workers that have viewers of it. */
  get threads(): number {
    return this.#links.size;
  }

  /** Whether the worker behind `link` has viewers of it. */
  serves(link: WorkerLink): boolean {
    return this.#links.has(link);
  }

  get isUnused(): boolean {
    return this.#links.size === 0;
  }

  /** One viewer more in the worker behind `link`; the first brings the stream there, from its last key frame on. */
  attach(link: WorkerLink): void {
    const viewers = this.#links.get(link) ?? 0;
    this.#links.set(link, viewers + 1);
    if (viewers > 0) return;
    const { stream, id } = this;
    const { clock, config } = this.#options;
    link.command({ type: "stream", stream: id, name: stream.name, description: plain(stream.description), config });
    if (clock.nowMs() - stream.stats.lastSampleMs > config.burstMaxAgeMs) return;
    for (const cut of this.#kept) this.#write(link, cut);
    link.wake();
  }

  /** One viewer less. */
  detach(link: WorkerLink): void {
    const viewers = this.#links.get(link);
    if (viewers === undefined) return;
    if (viewers > 1) return void this.#links.set(link, viewers - 1);
    this.#links.delete(link);
    link.command({ type: "end", stream: this.id, reason: { code: "unused" } });
  }

  /** The worker is gone, with all its viewers. */
  forget(link: WorkerLink): void {
    this.#links.delete(link);
  }

  close(): void {
    this.#leave();
  }

  #write(link: WorkerLink, { record, trackId, isKeyframe }: CutSample): void {
    link.sample(record, `${this.id}/${trackId}`, isKeyframe);
  }

  #onSample(sample: Sample, track: Track): void {
    const cut = this.#cut(sample, track);
    if (!cut) return;
    for (const link of this.#links.keys()) {
      this.#write(link, cut);
      link.wake();
    }
  }

  /** Undefined when the sample has nothing that RTP can carry. */
  #cut(sample: Sample, track: Track): CutSample | undefined {
    try {
      const slab = this.#slab;
      slab.begin(0);
      this.#packetizerOf(track)?.packetize(sample.data, slab);
      if (slab.count === 0) return undefined;
      const record = packSample(sample, slab, sampleHeadBytes);
      record[0] = recordKinds.sample;
      new DataView(record.buffer).setUint32(4, this.id, true);
      const cut = { record, trackId: track.id, isKeyframe: sample.isKeyframe };
      if (track.kind === "video") this.#keep(cut);
      return cut;
    } catch (thrown) {
      this.#options.logger.error("sample not sent", { track: track.id, error: messageOf(thrown) });
      return undefined;
    }
  }

  #packetizerOf(track: Track): Packetizer | undefined {
    const known = this.#packetizers.get(track.id);
    if (known?.track === track) return known.packetizer;
    const { codec, decoderConfig } = track;
    const packetizer = createPacketizer(codec, { maxPacketBytes: this.#options.config.maxPacketBytes, decoderConfig });
    this.#packetizers.set(track.id, { track, packetizer });
    return packetizer;
  }

  #keep(cut: CutSample): void {
    if (cut.isKeyframe) {
      this.#kept = this.#kept.filter(({ trackId }) => trackId !== cut.trackId);
      this.#keptBytes = this.#kept.reduce((sum, { record }) => sum + record.length, 0);
    }
    this.#kept.push(cut);
    this.#keptBytes += cut.record.length;
    if (this.#keptBytes > maxKeptBytes) this.#forgetKept();
  }

  #forgetKept(): void {
    this.#kept = [];
    this.#keptBytes = 0;
  }

  #onDescription(description: StreamDescription, isDiscontinuity: boolean): void {
    if (isDiscontinuity) this.#forgetKept();
    const command = { type: "describe", stream: this.id, description: plain(description), isDiscontinuity } as const;
    for (const link of this.#links.keys()) link.command(command);
  }
}

/** What senders need to know. */
function plain(description: StreamDescription): StreamDescription {
  return {
    ...description,
    playlists: [],
    tracks: description.tracks.map(withoutBytes),
  };
}
