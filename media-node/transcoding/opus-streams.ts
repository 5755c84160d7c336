import type { AcquireResult, StreamHold, StreamHub, StreamRequest } from "../core/stream-hub.ts";
import { streamKey, type StreamName } from "../core/stream-name.ts";
import { Stream, type StreamDescription } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import type { CloseReason } from "../flow/close-group.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { OpenOpusEncoder } from "./ffmpeg-encoder.ts";
import { OpusTrack, opusTrackOf, unconvertible, type OpusCounters } from "./opus-track.ts";

export interface OpusStreamsOptions {
  readonly hub: Pick<StreamHub, "acquire">;
  /** Asked whenever a stream needs one; undefined = there is no encoder on this machine. */
  readonly findEncoder: () => OpenOpusEncoder | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Encoders that may run at the same time on this node. */
  readonly maxEncoders: number;
}

/** A twin waits so long for its next viewer: who asks and leaves again and again starts no child each time. */
const lingerMs = 2_000;
/** Tracks of one stream that are converted at the same time. */
const maxTracks = 4;
/** How often the log says that there is no encoder. */
const remindMs = 60_000;

/** The hub as WebRTC sees it: streams whose sound is AAC only are handed out with Opus in its place. */
export class OpusStreams {
  readonly counters: OpusCounters = { running: 0, started: 0, restarted: 0, refused: 0, droppedFrames: 0, packets: 0 };
  readonly #options: OpusStreamsOptions;
  readonly #twins = new Map<Stream, OpusTwin>();
  readonly #closing = new Set<Promise<void>>();
  readonly #explained = new WeakSet<Track>();
  #remindedMs = Number.NEGATIVE_INFINITY;

  constructor(options: OpusStreamsOptions) {
    this.#options = options;
  }

  /** As {@link StreamHub.acquire}; the hold's stream may be a twin of the hub's. */
  async acquire(name: StreamName, request: StreamRequest, signal?: AbortSignal): Promise<AcquireResult> {
    const result = await this.#options.hub.acquire(name, request, signal);
    if (result.kind !== "stream" || result.hold.stream.isClosed) return result;
    return { kind: "stream", hold: this.#wrap(result.hold) };
  }

  /** Ends every twin; resolves when every child is gone. */
  async close(reason: CloseReason): Promise<void> {
    for (const twin of this.#twins.values()) this.#end(twin, reason);
    await Promise.all(this.#closing);
  }

  #wrap(hold: StreamHold): StreamHold {
    const twin = this.#twins.get(hold.stream) ?? this.#open(hold.stream);
    if (!twin) return hold;
    twin.holds++;
    twin.ending?.cancel();
    let isReleased = false;
    return {
      stream: twin.stream,
      get viewers() {
        return hold.viewers;
      },
      set viewers(count) {
        hold.viewers = count;
      },
      set sentBytes(read: () => number) {
        hold.sentBytes = read;
      },
      set holders(list: NonNullable<StreamHold["holders"]>) {
        hold.holders = list;
      },
      release: () => {
        hold.release();
        if (isReleased) return;
        isReleased = true;
        if (--twin.holds > 0 || !this.#twins.has(twin.source)) return;
        twin.ending = this.#options.clock.after(lingerMs, () => this.#end(twin, { code: "unused" }));
      },
    };
  }

  #open(source: Stream): OpusTwin | undefined {
    const wanted = tracksToConvert(source.description, (track, reason) => this.#explain(source, track, reason));
    if (wanted.length === 0) return undefined;
    if (this.counters.running >= this.#options.maxEncoders) return this.#refuse(source);
    const openEncoder = this.#options.findEncoder();
    if (!openEncoder) return this.#remind(source);
    const twin = new OpusTwin(source, { ...this.#options, openEncoder, counters: this.counters });
    this.#twins.set(source, twin);
    twin.stream.addReader({ onSample() {}, onEnd: (reason) => this.#end(twin, reason) });
    return twin;
  }

  #end(twin: OpusTwin, reason: CloseReason): void {
    if (!this.#twins.delete(twin.source)) return;
    twin.ending?.cancel();
    const closing = twin.close(reason).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #explain({ name }: Stream, track: Track, reason: string): void {
    if (this.#explained.has(track)) return;
    this.#explained.add(track);
    this.#options.logger.warn("sound cannot be sent by WebRTC", { stream: streamKey(name), track: track.id, reason });
  }

  #refuse(source: Stream): undefined {
    this.counters.refused++;
    this.#say(
      source,
      "this node runs as many encoders as it may",
      "send viewers of AAC-only streams to other nodes, too",
    );
  }

  #remind(source: Stream): undefined {
    const where =
      "install ffmpeg (apt-get install ffmpeg) or say where it is by Hearth/Ffmpeg in Server.xml; no restart needed";
    this.#say(source, "its sound is AAC, and there is no ffmpeg to turn it into Opus", where);
  }

  #say({ name }: Stream, reason: string, remedy: string): void {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#remindedMs < remindMs) return;
    this.#remindedMs = nowMs;
    this.#options.logger.warn("WebRTC viewers get no sound", { stream: streamKey(name), reason, remedy });
  }
}

/**
 * AAC tracks that WebRTC viewers need as Opus: where nothing else can be heard, the first and those that renditions name.
 * @param onUnfit told of tracks that cannot be converted
 */
export function tracksToConvert(
  { tracks, playlists }: StreamDescription,
  onUnfit: (track: Track, reason: string) => void = () => {},
): readonly Track[] {
  const sounds = tracks.filter(({ kind }) => kind === "audio");
  const isHeard = ({ codec }: Track): boolean => codec === "opus" || codec === "pcmu" || codec === "pcma";
  const heardNames = new Set(sounds.filter(isHeard).map(({ name }) => name));
  const wantedNames = new Set(playlists.flatMap(({ renditions }) => renditions.map((one) => one.audioTrackName)));
  const isNeeded = ({ name }: Track, index: number): boolean =>
    heardNames.size === 0 ? index === 0 || wantedNames.has(name) : wantedNames.has(name) && !heardNames.has(name);
  return sounds
    .filter(({ codec }) => codec === "aac")
    .filter((track, index) => {
      if (!isNeeded(track, index)) return false;
      const reason = unconvertible(track);
      if (reason !== undefined) onUnfit(track, reason);
      return reason === undefined;
    })
    .slice(0, maxTracks);
}

interface OpusTwinOptions extends Omit<OpusStreamsOptions, "hub" | "findEncoder" | "maxEncoders"> {
  readonly openEncoder: OpenOpusEncoder;
  readonly counters: OpusCounters;
}

/** A stream that follows another in everything but its AAC tracks, which are Opus here. */
class OpusTwin {
  readonly source: Stream;
  readonly stream: Stream;
  holds = 0;
  /** Runs while nobody holds it. */
  ending: Timer | undefined;
  readonly #options: OpusTwinOptions;
  readonly #converted = new Map<number, OpusTrack>();
  readonly #ends: Promise<void>[] = [];
  readonly #leave: () => void;

  constructor(source: Stream, options: OpusTwinOptions) {
    this.source = source;
    this.#options = options;
    const description = this.#adopt(source.description, true);
    const recent = source.recentSamples();
    this.stream = new Stream(source.name, description, {
      clock: options.clock,
      logger: options.logger.with({ app: source.name.app, stream: source.name.stream }),
      requestKeyframe: (trackId) => source.requestKeyframe(trackId),
      recent: {
        samples: recent.filter(({ trackId }) => !this.#converted.has(trackId)),
        lastSampleMs: source.stats.lastSampleMs,
      },
    });
    for (const sample of recent) this.#converted.get(sample.trackId)?.push(sample);
    this.#leave = source.addReader({
      onSample: (sample) => {
        const track = this.#converted.get(sample.trackId);
        if (track) track.push(sample);
        else this.stream.publish(sample);
      },
      onDescription: (changed, isDiscontinuity) =>
        this.stream.describe(this.#adopt(changed, isDiscontinuity), isDiscontinuity),
      onEnd: (reason) => this.stream.close(reason),
    });
  }

  async close(reason: CloseReason): Promise<void> {
    this.#leave();
    this.stream.close(reason);
    for (const track of this.#converted.values()) this.#ends.push(track.close());
    this.#converted.clear();
    await Promise.all(this.#ends);
  }

  /** Starts and ends encoders as `description` wants them. @returns how it looks to WebRTC */
  #adopt(description: StreamDescription, isDiscontinuity: boolean): StreamDescription {
    const wanted = new Map(tracksToConvert(description).map((track) => [track.id, track]));
    for (const [id, track] of this.#converted) {
      const next = wanted.get(id);
      if (next && isSameSound(next, track.source)) {
        if (isDiscontinuity) track.restart();
        continue;
      }
      this.#converted.delete(id);
      this.#ends.push(track.close());
    }
    for (const [id, track] of wanted) {
      if (!this.#converted.has(id)) this.#converted.set(id, this.#convert(track));
    }
    const tracks = description.tracks.map((track) => (wanted.has(track.id) ? opusTrackOf(track) : track));
    return { ...description, tracks };
  }

  #convert(track: Track): OpusTrack {
    const { name } = this.source;
    const logger = this.#options.logger.with({ stream: streamKey(name) });
    return new OpusTrack(track, { ...this.#options, logger, onSample: (sample) => this.stream.publish(sample) });
  }
}

function isSameSound(a: Track, b: Track): boolean {
  const bytes = (track: Track): string => Buffer.from(track.decoderConfig ?? []).toString("hex");
  return a.timescale === b.timescale && bytes(a) === bytes(b) && a.audio?.channels === b.audio?.channels;
}
