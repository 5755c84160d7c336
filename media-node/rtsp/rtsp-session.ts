import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { hearthEpochMs } from "../core/epoch.ts";
import type { Sample } from "../core/sample.ts";
import type { Source, SourceSink } from "../core/source.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf, ProtocolError, TransportError } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import { attributeOf, parseSdp } from "../sdp/session-description.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { Timers } from "../time/timers.ts";
import { planSession, type IgnoredMedia, type MediaPlan } from "./media-plan.ts";
import type { MediaCounters } from "./media-receiver.ts";
import { InterleavedTransport, UdpTransport, type MediaTransport, type PacketSink } from "./media-transport.ts";
import { ReceivedMedia } from "./received-media.ts";
import { RtspDialogue, type RtspEvent } from "./rtsp-dialogue.ts";
import { connectionError, refusalError } from "./rtsp-errors.ts";
import type { RtpInfo } from "./rtsp-headers.ts";
import { resolveControl, type RtspUrl } from "./rtsp-url.ts";

/** Opens a connection; rejects when there is none, or when `signal` aborts. The caller closes what it gets. */
export type DialRtsp = (host: string, port: number, signal: AbortSignal) => Promise<Duplex>;

export interface RtspSessionOptions {
  readonly url: RtspUrl;
  /** In order of preference; the next is tried where the server refuses one. */
  readonly transports: readonly ("tcp" | "udp")[];
  readonly ignoresSenderReports: boolean;
  readonly dial: DialRtsp;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** Only asks for the description: nothing is set up or played. */
  readonly isProbe?: boolean;
}

/** What came of opening: a session that plays, or the place the server redirects to. */
export type RtspOutcome = { readonly session: RtspSession } | { readonly location: string };

const plainProfile = "RTP/AVP";
/** RFC 3550 §6.2 gives 5 s; the first report comes sooner, so that a server knows at once that it is heard. */
const firstReportMs = 1_000;
const reportPeriodMs = 5_000;
/** Parameter sets that the SDP leaves out come with the first key frame; most cameras send one every two seconds. */
const parameterSetWaitMs = 3_000;
/** No datagram by then means that none gets through; another way must still fit into the attempt. */
const firstDatagramMs = 2_000;
/** How often held packets are looked at. */
const reorderTickMs = 25;
/** Media that came before `start` was called. */
const maxQueuedBytes = 16 * 1024 * 1024;

/** Media that follows a goodbye within this time takes it back. */
const byeGraceMs = 500;

export interface RtspFacts {
  readonly transport: "tcp" | "udp";
  /** Tracks that are offered and not played. */
  readonly ignored: readonly IgnoredMedia[];
  readonly sessionTimeoutMs: number;
  /** Bytes between messages that belonged to nothing. */
  readonly skippedBytes: number;
  /** By how much the server's wall clock is ahead of what its media was placed at; undefined before a sender report. */
  readonly senderClockErrorMs: number | undefined;
}

/** One connection: owns its socket and timers, moves bytes between socket, dialogue and receivers. */
export class RtspSession implements Source {
  readonly #options: RtspSessionOptions;
  readonly #log: Logger;
  readonly #dialogue: RtspDialogue;
  readonly #media: ReceivedMedia;
  readonly #opened = Promise.withResolvers<RtspOutcome>();
  #socket: Duplex | undefined;
  #interleaved: InterleavedTransport | undefined;
  #transport: MediaTransport | undefined;
  #plans: readonly MediaPlan[] = [];
  #ignored: readonly IgnoredMedia[] = [];
  #uris: readonly string[] = [];
  #aggregateUri = "";
  #transportIndex = 0;
  /** Whether `RTP/AVP` is asked for, whatever is described. */
  #isPlain = false;
  #state: "opening" | "open" | "started" | "closed" = "opening";
  #isPlaying = false;
  #isLeaving = false;
  #sink: SourceSink | undefined;
  #queue: Sample[] = [];
  #queuedBytes = 0;
  readonly #timers: Timers;
  #dialogueTimer: Timer | undefined;
  #dialogueDueMs = Number.POSITIVE_INFINITY;
  #ended: CloseReason | undefined;
  #gone: Promise<void> = Promise.resolve();

  constructor(options: RtspSessionOptions) {
    const { url, clock, logger, random, ignoresSenderReports } = options;
    this.#options = options;
    this.#timers = new Timers(clock);
    this.#log = logger.with({ source: withoutSecrets(url.requestUri) });
    // Nobody waits for it yet while the connection is being made.
    this.#opened.promise.catch(() => {});
    this.#media = new ReceivedMedia({
      clock,
      random,
      ignoresSenderReports,
      onSample: (sample) => this.#onSample(sample),
      onTrack: () => this.#onTrack(),
      onFirstPacket: () => this.#becomeOpenIfDescribed(),
      onKeyframeNeeded: (trackId) => this.requestKeyframe(trackId),
      onBye: () => this.#onBye(),
    });
    this.#dialogue = new RtspDialogue({
      url,
      random,
      onInterleaved: (channel, packet) => this.#interleaved?.onInterleaved(channel, packet),
    });
  }

  get description(): StreamDescription {
    return {
      tracks: this.#media.tracks,
      playlists: [],
      epochMs: hearthEpochMs,
      isEpochShared: true,
      // A hash, since paths and queries of cameras hold secrets and this identity travels to every node.
      originId: `rtsp:${hashOf(this.#options.url)}`,
      path: [],
    };
  }

  /** What a probe tells besides the description. */
  get facts(): RtspFacts {
    return {
      transport: this.#transport?.name ?? "tcp",
      ignored: this.#ignored,
      sessionTimeoutMs: this.#dialogue.sessionTimeoutMs,
      skippedBytes: this.#dialogue.skippedBytes,
      senderClockErrorMs: this.#media.senderClockErrorMs,
    };
  }

  /** By track id: what was lost so far. */
  get counters(): ReadonlyMap<number, MediaCounters> {
    return this.#media.counters;
  }

  /** Resolves when the tracks are described and media may flow. Rejects with nothing left open. */
  async open(signal: AbortSignal): Promise<RtspOutcome> {
    const onAbort = (): void => this.#fail(new TransportError("RTSP_ABORTED", messageOf(signal.reason)));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal.aborted) throw new TransportError("RTSP_ABORTED", messageOf(signal.reason));
      await this.#connect(signal);
      return await this.#opened.promise;
    } catch (thrown) {
      await this.close({ code: "not-opened", message: messageOf(thrown) });
      throw thrown;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  start(sink: SourceSink): void {
    if (this.#state === "closed") return;
    this.#state = "started";
    this.#sink = sink;
    const queue = this.#queue;
    this.#queue = [];
    for (const sample of queue) sink.onSample(sample);
    if (this.#ended) this.#end(this.#ended);
  }

  /** By RTCP, where the server says that it takes that. */
  requestKeyframe(trackId: number): void {
    const wish = this.#state === "closed" || this.#ended ? undefined : this.#media.keyframeRequest(trackId);
    if (!wish) return;
    this.#step(() => {
      this.#transport?.sendRtcp(wish.index, wish.packet);
      return [];
    });
  }

  close(_reason: CloseReason): Promise<void> {
    if (this.#state === "closed") return this.#gone;
    if (this.#media.lacksKeyframe) {
      const remedy = "turn off intra refresh and open GOPs at the encoder, and set a key frame interval of 2 s";
      this.#log.warn("pictures came, and none of them a key frame (IDR)", { remedy });
    }
    this.#state = "closed";
    this.#sink = undefined;
    this.#queue = [];
    this.#dialogueTimer?.cancel();
    this.#timers.close();
    this.#gone = this.#letGo();
    return this.#gone;
  }

  async #letGo(): Promise<void> {
    await Promise.all([this.#socket && this.#sayGoodbye(this.#socket), this.#transport?.close()]);
  }

  /** The farewell goes out only where it can be written at once: nobody waits for a server here. */
  async #sayGoodbye(socket: Duplex): Promise<void> {
    const closed = socket.closed
      ? Promise.resolve()
      : new Promise<void>((resolve) => {
          socket.once("close", () => resolve());
        });
    this.#dialogue.tearDown(this.#nowMs());
    if (!socket.destroyed && socket.writableLength === 0) this.#flush();
    // Lets the kernel take the bytes before the connection is cut.
    setImmediate(() => socket.destroy());
    await closed;
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { dial, url } = this.#options;
    const { host, port } = url;
    let socket: Duplex;
    try {
      socket = await dial(host, port, signal);
    } catch (cause) {
      throw connectionError(cause, host, port);
    }
    this.#socket = socket;
    socket.on("error", (cause) => this.#fail(connectionError(cause, host, port)));
    if (this.#state !== "opening" || this.#ended) return;
    socket.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    socket.on("close", () => this.#fail(new TransportError("RTSP_CLOSED", "the server closed the connection")));
    socket.on("end", () => this.#fail(new TransportError("RTSP_CLOSED", "the server closed the connection")));
    this.#dialogue.begin(this.#nowMs());
    this.#flush();
  }

  #nowMs(): number {
    return this.#options.clock.nowMs();
  }

  #onData(chunk: Uint8Array): void {
    if (this.#state === "closed" || this.#ended) return;
    this.#step(() => this.#dialogue.receive(chunk, this.#nowMs()));
  }

  /** Whatever a peer makes us throw ends this session and nothing else. */
  #step(advance: () => readonly RtspEvent[]): void {
    try {
      for (const event of advance()) this.#onEvent(event);
      this.#flush();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #guard(act: () => void): void {
    try {
      act();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #flush(): void {
    for (let bytes = this.#dialogue.takeOutput(); bytes; bytes = this.#dialogue.takeOutput())
      this.#socket?.write(bytes);
    this.#schedule();
  }

  /** One timer for the dialogue; moving it later is left to the timer itself. */
  #schedule(): void {
    const dueMs = this.#dialogue.nextTimeoutMs;
    if (dueMs === undefined || dueMs >= this.#dialogueDueMs || this.#state === "closed") return;
    this.#dialogueTimer?.cancel();
    this.#dialogueDueMs = dueMs;
    this.#dialogueTimer = this.#options.clock.after(Math.max(0, dueMs - this.#nowMs()), () => {
      this.#dialogueDueMs = Number.POSITIVE_INFINITY;
      this.#step(() => this.#dialogue.timeout(this.#nowMs()));
      this.#schedule();
    });
  }

  #onEvent(event: RtspEvent): void {
    switch (event.kind) {
      case "described":
        return this.#onDescribed(event.sdp, event.base);
      case "set-up":
        return this.#onSetUp(event);
      case "set-up-refused":
        return this.#log.warn("track refused", { track: event.index, status: event.status, reason: event.reason });
      case "transport-refused":
        return this.#onTransportRefused(event);
      case "playing":
        return this.#onPlaying(event.info);
      case "redirected":
        return this.#onRedirected(event.location);
      case "refused":
        return this.#fail(refusalError(event, this.#options.url.credentials !== undefined));
      case "ended":
        return this.#fail(new ProtocolError(event.code, event.message));
    }
  }

  #onDescribed(text: string, base: string): void {
    const sdp = parseSdp(text);
    const { media, ignored } = planSession(sdp);
    this.#ignored = ignored;
    for (const { kind, encoding, reason } of ignored) this.#log.info("track ignored", { kind, encoding, reason });
    if (media.length === 0) {
      const offered = ignored.map(({ kind, encoding }) => `${kind} ${encoding}`.trim()).join(", ") || "nothing";
      throw new ProtocolError("RTSP_NO_TRACK", `the server offers no track this node can play (${offered})`);
    }
    const { url, isProbe } = this.#options;
    if (isProbe) {
      this.#state = "open";
      return this.#opened.resolve({ session: this });
    }
    this.#aggregateUri = resolveControl(url, base, attributeOf(sdp, "control"));
    this.#plans = media;
    this.#uris = media.map(({ control }) => resolveControl(url, base, control));
    this.#setUpNext();
  }

  /** Asks for the tracks by the transport whose turn it is. */
  #setUpNext(): void {
    if (this.#options.transports[this.#transportIndex] === "tcp") {
      const send = (channel: number, packet: Uint8Array): void => this.#dialogue.sendInterleaved(channel, packet);
      this.#interleaved = new InterleavedTransport(this.#media, send);
      return this.#setUp(this.#interleaved);
    }
    // Datagrams come outside of any step, where a throw would end the process.
    const guarded: PacketSink = {
      onRtp: (index, packet) => this.#guard(() => this.#media.onRtp(index, packet)),
      onRtcp: (index, packet) => this.#guard(() => this.#media.onRtcp(index, packet)),
    };
    UdpTransport.open(this.#uris.length, this.#serverAddress(), guarded).then(
      (opened) => this.#step(() => this.#setUp(opened) ?? []),
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  #serverAddress(): string | undefined {
    const socket = this.#socket;
    return socket && "remoteAddress" in socket && typeof socket.remoteAddress === "string"
      ? socket.remoteAddress
      : undefined;
  }

  #setUp(transport: MediaTransport): void {
    if (this.#state === "closed" || this.#ended) return void transport.close();
    this.#transport = transport;
    const requests = this.#uris.map((uri, index) => {
      return { uri, transport: transport.request(index, this.#isPlain ? plainProfile : this.#plans[index]!.profile) };
    });
    this.#dialogue.setUp(requests, this.#aggregateUri, this.#nowMs());
  }

  #onTransportRefused(event: RtspEvent & { kind: "transport-refused" }): void {
    void this.#transport?.close();
    this.#transport = undefined;
    // Some describe feedback, and refuse to be asked for it.
    this.#isPlain = !this.#isPlain && this.#plans.some(({ profile }) => profile !== plainProfile);
    if (this.#isPlain) return this.#setUpNext();
    if (++this.#transportIndex < this.#options.transports.length) return this.#setUpNext();
    this.#fail(refusalError({ ...event, method: "SETUP" }, true));
  }

  get #isUdp(): boolean {
    return this.#transport?.name === "udp";
  }

  #onSetUp({ index, transport }: RtspEvent & { kind: "set-up" }): void {
    this.#transport!.grant(index, transport);
    this.#media.add(index, this.#uris[index]!, this.#plans[index]!, !this.#isUdp);
  }

  #onPlaying(info: readonly RtpInfo[]): void {
    this.#isPlaying = true;
    this.#media.setInfo(info);
    this.#timers.after(firstReportMs, () => {
      this.#sendReports();
      this.#timers.every(reportPeriodMs, () => this.#sendReports());
    });
    this.#timers.after(parameterSetWaitMs, () => {
      if (this.#media.hasPackets && !this.#media.isDescribed) this.#log.warn("no parameter sets have come");
      this.#becomeOpen();
    });
    if (this.#isUdp) this.#watchDatagrams();
    this.#becomeOpenIfDescribed();
  }

  #watchDatagrams(): void {
    this.#timers.after(firstDatagramMs, () => {
      if (!this.#media.hasPackets)
        this.#fail(new TransportError("RTSP_UDP_SILENT", "no datagram from the server gets through"));
    });
    let lastMs = this.#nowMs();
    let wasLate = false;
    const tick = (): void => {
      // When this process was held up, what is missing may be waiting in the socket: it is read before the next tick.
      const isLate = this.#nowMs() - lastMs > reorderTickMs * 2;
      if (!isLate || wasLate) this.#media.timeout();
      wasLate = isLate && !wasLate;
      lastMs = this.#nowMs();
    };
    this.#timers.every(reorderTickMs, () => this.#guard(tick));
  }

  /** Servers that begin anew with another SSRC say goodbye to the old one: what follows tells. */
  #onBye(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    this.#timers.after(byeGraceMs, () => {
      this.#isLeaving = false;
      if (this.#media.isOver) this.#fail(new TransportError("RTSP_BYE", "the server ended the stream (RTCP BYE)"));
    });
  }

  #becomeOpenIfDescribed(): void {
    if (this.#isPlaying && this.#media.isDescribed) this.#becomeOpen();
  }

  #becomeOpen(): void {
    // Datagrams must have come through once; the TCP connection proves itself by the answer.
    if (this.#state !== "opening" || (this.#isUdp && !this.#media.hasPackets)) return;
    this.#state = "open";
    this.#opened.resolve({ session: this });
  }

  #onRedirected(location: string): void {
    if (this.#state !== "opening") return this.#fail(new ProtocolError("RTSP_REDIRECT", "the server moved the stream"));
    this.#opened.resolve({ location });
    void this.close({ code: "redirected" });
  }

  #onSample(sample: Sample): void {
    if (this.#sink) return this.#sink.onSample(sample);
    if (this.#state === "closed") return;
    this.#queuedBytes += sample.data.length;
    if (this.#queuedBytes > maxQueuedBytes) {
      this.#queue = [];
      this.#queuedBytes = 0;
    }
    this.#queue.push(sample);
  }

  #onTrack(): void {
    if (this.#sink) this.#sink.onDescription(this.description);
    else this.#becomeOpenIfDescribed();
  }

  #sendReports(): void {
    this.#step(() => {
      for (const { index, report } of this.#media.takeReports()) this.#transport!.sendRtcp(index, report);
      return [];
    });
  }

  #fail(thrown: unknown): void {
    if (this.#state === "closed" || this.#ended) return;
    const code = thrown instanceof ProtocolError || thrown instanceof TransportError ? thrown.code : "internal";
    this.#ended = { code, message: messageOf(thrown) };
    if (this.#state === "opening") this.#opened.reject(thrown);
    else if (this.#state === "started") this.#end(this.#ended);
  }

  #end(reason: CloseReason): void {
    const sink = this.#sink;
    void this.close(reason);
    sink?.onEnd(reason);
  }
}

function hashOf({ host, port, path }: RtspUrl): string {
  return createHash("sha256").update(`${host}:${port}${path}`).digest("hex").slice(0, 16);
}
