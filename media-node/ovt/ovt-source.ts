import type { Duplex } from "node:stream";
import { messageOf, ProtocolError, TransportError } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import { NoSuchStream, StreamNotReady, type OpenSource, type Source, type SourceSink } from "../core/source.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { toStreamDescription } from "./description-mapping.ts";
import { OvtEdgeDialogue, OvtRefusal } from "./edge-dialogue.ts";
import { parseHearthDescription, pulseEveryMs, serializeHearthRequest } from "./hearth-extension.ts";
import { parseOvtDescription, type OvtDescription } from "./ovt-description.ts";
import { secureAsEdge } from "./link-tls.ts";
import { signLinkToken } from "./link-token.ts";
import { detectGeneration, type OvtGeneration } from "./ovt-generation.ts";
import { ovtCode, type OvtResponse } from "./ovt-message.ts";
import { ovtMediaType, type OvtMedia } from "./ovt-media.ts";
import { parseOvtUrl, type OvtUrl } from "./ovt-url.ts";
import { SampleDecoder } from "./sample-decoder.ts";
import { TimeJumpWatch } from "./time-jump.ts";
import { TimeRepair } from "./time-repair.ts";
import type { WireJson } from "./wire-json.ts";

export interface OvtSourceOptions {
  /** Connects one byte stream; the transport is its business (TCP, TLS, SRT). Rejects when `signal` aborts. */
  readonly dial: (host: string, port: number, signal: AbortSignal) => Promise<Duplex>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  /** For URLs without a port; without it such URLs are refused. */
  readonly defaultPort?: number;
  /** Recent media asked of Hearth origins, enough for a whole segment. Default 4 s. */
  readonly recentMs?: number;
  /** The cluster's: signs what is asked for (`link-token.ts`) and secures `ovts://` links (`link-tls.ts`). */
  readonly secret?: string;
  /** Largest sample taken. Default 16 MiB. */
  readonly maxMediaBytes?: number;
}

/** An origin that plays but sends nothing for this long is given up, as is one that falls silent later. */
const firstMediaTimeoutMs = 3_000;
/** How long further tracks may take to tell the generation after the first packet came. */
const evidenceTimeoutMs = 500;
/** A token is used at once; what is left is room for clocks that differ. */
const tokenLifeMs = 60_000;
/** Pulses come every second, as the origin finds the time. */
const overdueMs = 1.5 * pulseEveryMs;
/** What may arrive before the generation is clear or the pull takes delivery. */
const maxHeldBytes = 32 * 1024 * 1024;

/** The opener for `ovt://host:port/app/stream`, and for `ovts://` where both nodes share a secret: one connection a stream, to any OvenMediaEngine or Hearth origin. */
export function openOvtSource(options: OvtSourceOptions): OpenSource {
  return async (url, { signal, via, trace, isProbe = false }) => {
    const parsed = parseOvtUrl(url);
    const port = parsed?.port || options.defaultPort;
    if (!parsed || !port) throw new NoSuchStream(`"${withoutSecrets(url)}" is not ovt://host:port/app/stream`);
    const extension = extensionFor(parsed, options, { via: via ?? [], trace });
    const startMs = options.clock.nowMs();
    const dialled = await options.dial(parsed.host, port, signal);
    const connection = parsed.scheme === "ovts" ? await secured(dialled, options, signal) : dialled;
    const connectMs = options.clock.nowMs() - startMs;
    const source = new OvtSource(connection, url, extension, { ...options, isProbe, connectMs });
    try {
      await source.open(signal);
    } catch (thrown) {
      connection.destroy();
      throw thrown;
    }
    return source;
  };
}

function extensionFor(
  url: OvtUrl,
  options: OvtSourceOptions,
  { via, trace }: { readonly via: readonly string[]; readonly trace: string | undefined },
): WireJson {
  const { clock, nodeId, recentMs = 4_000, secret } = options;
  const link = { scope: `${url.app}/${url.stream}`, expiresMs: clock.wallMs() + tokenLifeMs };
  return serializeHearthRequest({
    nodeId,
    via: [...via, nodeId],
    recentMs,
    wantsPulse: true,
    ...(secret !== undefined && { token: signLinkToken(secret, link) }),
    ...(trace !== undefined && { trace }),
  });
}

async function secured(connection: Duplex, { secret }: OvtSourceOptions, signal: AbortSignal): Promise<Duplex> {
  if (secret !== undefined) return secureAsEdge(connection, secret, signal);
  connection.destroy();
  throw new TransportError("OVT_TLS", "ovts:// needs the cluster's secret");
}

/** Origins of both kinds name a stream `#vhost#app/stream`: one without virtual host is not known by the host it was asked by. */
function hintFor(refusal: string): string {
  return refusal.includes("(##") ? ": the host of the URL is not among Host/Names of the origin's virtual hosts" : "";
}

interface OpenedHow {
  readonly isProbe: boolean;
  readonly connectMs: number;
}

/** One connection to one origin: a thin shell around {@link OvtEdgeDialogue} that owns socket and timer. */
class OvtSource implements Source {
  readonly #connection: Duplex;
  readonly #options: OvtSourceOptions & OpenedHow;
  readonly #dialogue: OvtEdgeDialogue;
  readonly #opening = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  #wire: OvtDescription | undefined;
  #description: StreamDescription | undefined;
  #decoder: SampleDecoder | undefined;
  #sink: SourceSink | undefined;
  #held: OvtMedia[] = [];
  #heldBytes = 0;
  /** Of an origin that does not say when its stream began. */
  #jumps: TimeJumpWatch | undefined;
  #repair: TimeRepair | undefined;
  /** Bitstream format of each track's first packet. */
  readonly #formats = new Map<number, number>();
  #timer: Timer | undefined;
  #mediaTimer: Timer | undefined;
  #pulse: { readonly hopMs: number; readonly atMs: number } | undefined;
  #isClosing = false;
  #isAnswered = false;
  #failure: unknown;

  constructor(connection: Duplex, url: string, extension: WireJson, options: OvtSourceOptions & OpenedHow) {
    this.#connection = connection;
    this.#options = options;
    this.#dialogue = new OvtEdgeDialogue(
      { target: url, extension, ...(options.maxMediaBytes !== undefined && { maxMediaBytes: options.maxMediaBytes }) },
      {
        onDescribed: (contents) => this.#onDescribed(contents),
        onPlaying: () => this.#onPlaying(),
        onMedia: (media) => this.#onMedia(media),
        onPulse: (wallMs) => this.#onPulse(wallMs),
        onUnexpectedMessage: (response) => this.#onUnexpected(response),
        onStopped: () => this.#letGo(),
      },
    );
    connection.on("data", (chunk: Uint8Array) => {
      this.#isAnswered = true;
      this.#guard(() => this.#dialogue.receive(chunk));
    });
    connection.on("error", (cause) => this.#fail(this.#asLost(messageOf(cause), { cause })));
    connection.on("end", () => this.#fail(this.#asLost("the origin closed the connection")));
    connection.on("close", () => {
      this.#fail(this.#asLost("the connection was closed"));
      this.#letGo();
      this.#gone.resolve();
    });
  }

  get description(): StreamDescription {
    return this.#description!;
  }

  get connectMs(): number {
    return this.#options.connectMs;
  }

  get hopMs(): number | undefined {
    if (!this.#pulse) return undefined;
    const { hopMs, atMs } = this.#pulse;
    // One that is overdue is on its way for at least that long.
    return Math.max(hopMs, this.#options.clock.nowMs() - atMs - overdueMs);
  }

  /** Resolves when the stream is described, playing, and every number in it is understood. */
  async open(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => {
      this.#fail(new TransportError("OVT_ABORTED", "the attempt was given up", { cause: signal.reason }));
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const { clock } = this.#options;
      this.#guard(() => this.#dialogue.describe(clock.nowMs(), clock.wallMs()));
      await this.#opening.promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  start(sink: SourceSink): void {
    if (this.#failure !== undefined) return this.#report(sink, this.#failure);
    this.#sink = sink;
    const held = this.#held;
    this.#held = [];
    this.#guard(() => held.forEach((media) => this.#decoder!.push(media)));
    this.#connection.resume();
  }

  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      this.#sink = undefined;
      this.#mediaTimer?.cancel();
      if (this.#connection.destroyed) this.#gone.resolve();
      else this.#sayGoodbye();
    }
    return this.#gone.promise;
  }

  #sayGoodbye(): void {
    const { clock } = this.#options;
    const isSilent = this.#dialogue.phase !== "playing";
    this.#dialogue.stop(clock.nowMs(), clock.wallMs());
    if (isSilent || this.#connection.readableEnded) this.#connection.destroy();
    else {
      this.#connection.resume();
      this.#flush();
    }
  }

  #onDescribed(contents: WireJson): void {
    this.#wire = parseOvtDescription(contents);
    const { clock, isProbe } = this.#options;
    // An origin describes a stream only when it has it.
    if (isProbe) return this.#ready("g3", clock.wallMs());
    this.#dialogue.play(clock.nowMs(), clock.wallMs());
  }

  #onPlaying(): void {
    // A Hearth origin says everything there is to know: no need to wait for its media.
    if (parseHearthDescription(this.#wire!.extension)) return this.#ready("g3", 0);
    this.#jumps = new TimeJumpWatch(this.#wire!.tracks);
    this.#repair = new TimeRepair(this.#wire!.tracks);
    this.#mediaTimer = this.#options.clock.after(firstMediaTimeoutMs, () => {
      this.#fail(new TransportError("OVT_NO_MEDIA", "the origin plays but sends nothing"));
    });
  }

  #onMedia(received: OvtMedia): void {
    const nowMs = this.#options.clock.nowMs();
    this.#jumps?.check(received, nowMs);
    const media = this.#repair?.repair(received, nowMs) ?? received;
    if (this.#decoder && this.#sink && this.#held.length === 0) return this.#decoder.push(media);
    this.#heldBytes += media.data.length + 100;
    if (this.#heldBytes > maxHeldBytes) throw new ProtocolError("OVT_TOO_MUCH_MEDIA", "more media than can be held");
    this.#held.push(media);
    if (!this.#decoder) this.#weighEvidence(media);
  }

  #weighEvidence(media: OvtMedia): void {
    const { clock } = this.#options;
    const wire = this.#wire!;
    if (this.#formats.size === 0) {
      this.#mediaTimer?.cancel();
      this.#mediaTimer = clock.after(evidenceTimeoutMs, () => this.#guard(() => this.#readyNow()));
    }
    if (this.#formats.has(media.trackId)) return;
    this.#formats.set(media.trackId, media.bitstreamFormat);
    const isTimed = wire.tracks.some(({ id, mediaType }) => id === media.trackId && mediaType <= ovtMediaType.audio);
    if (isTimed && this.#detect().isSure) this.#readyNow();
  }

  #detect(): { generation: OvtGeneration; isSure: boolean } {
    const wire = this.#wire!;
    const hasIndexHints = wire.playlists.some(({ renditions }) =>
      renditions.some(({ videoIndexHint }) => videoIndexHint !== undefined),
    );
    const evidence = wire.tracks.map(({ id, mediaType, codecId, decoderConfig }) => {
      return { mediaType, codecId, bitstreamFormat: this.#formats.get(id), hasDecoderConfig: !!decoderConfig };
    });
    return detectGeneration(evidence, hasIndexHints);
  }

  #readyNow(): void {
    const first = this.#held.find(({ mediaType }) => mediaType <= ovtMediaType.audio) ?? this.#held[0];
    const track = this.#wire!.tracks.find(({ id }) => id === first?.trackId);
    const mediaMs = first && track ? (first.pts * 1000 * track.timebaseNum) / track.timebaseDen : 0;
    this.#ready(this.#detect().generation, Math.round(this.#options.clock.wallMs() - mediaMs));
  }

  #ready(generation: OvtGeneration, guessedEpochMs: number): void {
    this.#mediaTimer?.cancel();
    const wire = this.#wire!;
    this.#description = toStreamDescription(wire, { generation, guessedEpochMs });
    const tickFactors = new Map(wire.tracks.map(({ id, timebaseNum }) => [id, timebaseNum]));
    this.#decoder = new SampleDecoder(this.#description.tracks, generation, tickFactors, {
      onSample: (sample) => this.#sink?.onSample(sample),
      onTrack: (track) => this.#onTrack(track),
    });
    this.#connection.pause();
    this.#opening.resolve();
  }

  #onTrack(changed: Track): void {
    const before = this.#description!;
    const tracks = before.tracks.map((track) => (track.id === changed.id ? changed : track));
    this.#description = { ...before, tracks };
    this.#sink?.onDescription(this.#description);
  }

  #onPulse(originMs: number): void {
    const { clock } = this.#options;
    this.#pulse = { hopMs: clock.wallMs() - originMs, atMs: clock.nowMs() };
  }

  #onUnexpected({ application, code }: OvtResponse): void {
    this.#options.logger.warn("unexpected message from origin", { application: application.slice(0, 40), code });
  }

  /** Runs a step of the dialogue, sends what it says, and ends the connection when it throws. */
  #guard(step: () => void): void {
    try {
      step();
      this.#flush();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #flush(): void {
    for (let bytes = this.#dialogue.takeOutput(); bytes; bytes = this.#dialogue.takeOutput()) {
      if (!this.#connection.destroyed) this.#connection.write(bytes);
    }
    this.#timer?.cancel();
    const dueMs = this.#dialogue.nextTimeoutMs;
    if (dueMs === undefined || this.#connection.destroyed) return;
    const { clock } = this.#options;
    this.#timer = clock.after(Math.max(0, dueMs - clock.nowMs()), () => {
      this.#guard(() => this.#dialogue.timeout(clock.nowMs()));
    });
  }

  #fail(thrown: unknown): void {
    this.#letGo();
    this.#failure ??= thrown;
    const sink = this.#sink;
    this.#sink = undefined;
    this.#opening.promise.catch(() => {});
    this.#opening.reject(this.#asOpenError(thrown));
    if (sink) this.#report(sink, thrown);
  }

  #report(sink: SourceSink, thrown: unknown): void {
    const code = thrown instanceof ProtocolError || thrown instanceof TransportError ? thrown.code : "failed";
    if (code === "failed") this.#options.logger.error("ovt source failed", { error: messageOf(thrown) });
    sink.onEnd({ code, message: messageOf(thrown) });
  }

  #asOpenError(thrown: unknown): unknown {
    if (!(thrown instanceof OvtRefusal)) return thrown;
    if (thrown.status === ovtCode.refused) return new NoSuchStream(thrown.message + hintFor(thrown.message));
    if (thrown.status === ovtCode.notReady) return new StreamNotReady(thrown.code, thrown.message, { cause: thrown });
    return new TransportError(thrown.code, thrown.message, { cause: thrown });
  }

  /** Origins that do not know a peer say nothing: that is for its operator to hear. */
  #asLost(what: string, options?: ErrorOptions): TransportError {
    if (this.#isAnswered) return new TransportError("OVT_ENDED", what, options);
    const why =
      "the origin hung up without an answer: is HEARTH_SECRET the same on both nodes, or this address trusted there?";
    return new TransportError("OVT_NO_ANSWER", why, options);
  }

  #letGo(): void {
    this.#timer?.cancel();
    this.#mediaTimer?.cancel();
    this.#held = [];
    this.#connection.destroy();
  }
}
