import { createHash } from "node:crypto";
import type { Duplex } from "node:stream";
import { hearthEpochMs } from "../core/epoch.ts";
import type { Sample } from "../core/sample.ts";
import { type OpenSource, type Source, type SourceSink } from "../core/source.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf, ProtocolError, TransportError } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import { RtpTimeline, type RtpTrackClock } from "../rtp/rtp-timeline.ts";
import { parseSdp } from "../sdp/session-description.ts";
import { attributeOf } from "../sdp/session-description.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";
import { connectionError, refusalError } from "./rtsp-errors.ts";
import { MediaReceiver, type MediaCounters } from "./media-receiver.ts";
import { planSession, type MediaPlan } from "./media-plan.ts";
import { RtspDialogue, type RtspEvent } from "./rtsp-dialogue.ts";
import type { RtpInfo } from "./rtsp-headers.ts";
import { isIncomplete } from "./video-formats.ts";
import { followRedirect, parseRtspUrl, resolveControl, type RtspUrl } from "./rtsp-url.ts";

/** Opens a connection; rejects when there is none, or when `signal` aborts. The caller closes what it gets. */
export type DialRtsp = (host: string, port: number, signal: AbortSignal) => Promise<Duplex>;

/** What a rule may say about its camera. */
export interface RtspPullSettings {
  /** OvenMediaEngine's `IgnoreRtcpSRTimestamp`: for cameras whose sender reports are wrong. */
  readonly ignoresSenderReports?: boolean;
}

export interface RtspSourceOptions {
  readonly dial: DialRtsp;
  /** The same with TLS, for `rtsps://`; without it such URLs are refused. */
  readonly dialTls?: DialRtsp;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Asked once for every connection. */
  readonly settingsOf?: (url: string) => RtspPullSettings;
}

const maxRedirects = 3;
/** RFC 3550 §6.2 gives 5 s; the first report comes sooner, so that a server knows at once that it is heard. */
const firstReportMs = 1_000;
const reportPeriodMs = 5_000;
/** Parameter sets that the SDP leaves out come with the first key frame; most cameras send one every two seconds. */
const parameterSetWaitMs = 3_000;
/** Media that came before `start` was called. */
const maxQueuedBytes = 16 * 1024 * 1024;

/**
 * Pulls `rtsp://` and `rtsps://` URLs (RFC 2326) over TCP, media interleaved.
 *
 * Timestamps count from {@link hearthEpochMs}: by the server's own clock where its RTCP sender reports are within 10 s of
 * ours, else by arrival. `isEpochShared` is always true: for the nodes behind it, the node that pulls is the authority.
 */
export function openRtspSource(options: RtspSourceOptions): OpenSource {
  return async (url, { signal }) => {
    let target = parseRtspUrl(url);
    const settings = options.settingsOf?.(url) ?? {};
    for (let hop = 0; ; hop++) {
      const session = new RtspSession(target, settings, options);
      const outcome = await session.open(signal);
      if ("source" in outcome) return outcome.source;
      const next = followRedirect(target, outcome.location);
      if (!next || hop === maxRedirects) {
        const message = next
          ? `more than ${maxRedirects} redirects`
          : "the server redirects to a place the rule does not name";
        throw new ProtocolError("RTSP_REDIRECT", `${message}: ${withoutSecrets(outcome.location)}`);
      }
      target = next;
    }
  };
}

type Outcome = { readonly source: Source } | { readonly location: string };

/** A track the server granted. */
interface ActiveMedia {
  readonly plan: MediaPlan;
  readonly uri: string;
  readonly clock: RtpTrackClock;
  readonly receiver: MediaReceiver;
  readonly rtcpChannel: number;
}

/** One connection: owns its socket and timers, moves bytes between socket, dialogue and receivers. */
class RtspSession implements Source {
  readonly #url: RtspUrl;
  readonly #options: RtspSourceOptions;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #timeline: RtpTimeline;
  readonly #dialogue: RtspDialogue;
  /** Unix milliseconds at the dialogue's zero, read once: our wall clock may jump. */
  readonly #wallAtZeroMs: number;
  readonly #opened = Promise.withResolvers<Outcome>();
  #socket: Duplex | undefined;
  #plans: readonly MediaPlan[] = [];
  #uris: readonly string[] = [];
  #media: ActiveMedia[] = [];
  #channels = new Map<number, { media: ActiveMedia; isRtcp: boolean }>();
  #state: "opening" | "open" | "started" | "closed" = "opening";
  #isPlaying = false;
  #sink: SourceSink | undefined;
  #queue: Sample[] = [];
  #queuedBytes = 0;
  #timer: Timer | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #reportTimer: Timer | undefined;
  #parameterSetTimer: Timer | undefined;
  #ended: CloseReason | undefined;
  #gone: Promise<void> = Promise.resolve();

  constructor(url: RtspUrl, settings: RtspPullSettings, options: RtspSourceOptions) {
    this.#url = url;
    this.#options = options;
    this.#log = options.logger.with({ source: withoutSecrets(url.requestUri) });
    this.#random = options.random ?? Math.random;
    this.#wallAtZeroMs = options.clock.wallMs() - options.clock.nowMs();
    this.#timeline = new RtpTimeline({
      epochMs: hearthEpochMs,
      ignoresSenderReports: settings.ignoresSenderReports ?? false,
    });
    this.#dialogue = new RtspDialogue({
      url,
      random: this.#random,
      onInterleaved: (channel, packet) => this.#onInterleaved(channel, packet),
    });
  }

  get description(): StreamDescription {
    return {
      tracks: this.#media.map(({ receiver }) => receiver.track),
      playlists: [],
      epochMs: hearthEpochMs,
      isEpochShared: true,
      // A hash, since paths and queries of cameras hold secrets and this identity travels to every node.
      originId: `rtsp:${createHash("sha256").update(`${this.#url.host}:${this.#url.port}${this.#url.path}`).digest("hex").slice(0, 16)}`,
      path: [],
    };
  }

  /** By track id: what was lost so far. */
  get counters(): ReadonlyMap<number, MediaCounters> {
    return new Map(this.#media.map(({ plan, receiver }) => [plan.track.id, receiver.counters]));
  }

  async open(signal: AbortSignal): Promise<Outcome> {
    const onAbort = (): void => this.#fail(new TransportError("RTSP_ABORTED", messageOf(signal.reason)));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
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

  close(_reason: CloseReason): Promise<void> {
    if (this.#state === "closed") return this.#gone;
    this.#state = "closed";
    this.#sink = undefined;
    this.#queue = [];
    for (const timer of [this.#timer, this.#reportTimer, this.#parameterSetTimer]) timer?.cancel();
    if (this.#socket) this.#gone = this.#sayGoodbye(this.#socket);
    return this.#gone;
  }

  /** The socket is destroyed at once where the farewell cannot be written at once: nobody waits for a server here. */
  async #sayGoodbye(socket: Duplex): Promise<void> {
    const closed = socket.closed
      ? Promise.resolve()
      : new Promise<void>((resolve) => socket.once("close", () => resolve()));
    this.#dialogue.tearDown(this.#options.clock.nowMs());
    if (!socket.destroyed && socket.writableLength === 0) this.#flush();
    // Lets the kernel take the bytes before the connection is cut.
    setImmediate(() => socket.destroy());
    await closed;
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { host, port, isSecure } = this.#url;
    const dial = isSecure ? this.#options.dialTls : this.#options.dial;
    if (!dial) throw new TransportError("RTSP_NO_TLS", "this node has no TLS for rtsps://");
    let socket: Duplex;
    try {
      socket = await dial(host, port, signal);
    } catch (cause) {
      throw connectionError(cause, host, port);
    }
    this.#socket = socket;
    socket.on("error", (cause) => this.#fail(connectionError(cause, host, port)));
    if (this.#state !== "opening") {
      this.#gone = this.#sayGoodbye(socket);
      return;
    }
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

  #flush(): void {
    for (let bytes = this.#dialogue.takeOutput(); bytes; bytes = this.#dialogue.takeOutput())
      this.#socket?.write(bytes);
    this.#schedule();
  }

  /** One timer for the dialogue; moving it later is left to the timer itself. */
  #schedule(): void {
    const dueMs = this.#dialogue.nextTimeoutMs;
    if (dueMs === undefined || dueMs >= this.#timerDueMs || this.#state === "closed") return;
    this.#timer?.cancel();
    this.#timerDueMs = dueMs;
    this.#timer = this.#options.clock.after(Math.max(0, dueMs - this.#nowMs()), () => {
      this.#timerDueMs = Number.POSITIVE_INFINITY;
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
      case "playing":
        return this.#onPlaying(event.info);
      case "redirected":
        return this.#onRedirected(event.location);
      case "refused":
        return this.#fail(refusalError(event, this.#url.credentials !== undefined));
      case "ended":
        return this.#fail(new ProtocolError(event.code, event.message));
    }
  }

  #onDescribed(text: string, base: string): void {
    const sdp = parseSdp(text);
    const { media, ignored } = planSession(sdp);
    for (const { kind, encoding, reason } of ignored) this.#log.info("track ignored", { kind, encoding, reason });
    if (media.length === 0) {
      const offered = ignored.map(({ kind, encoding }) => `${kind} ${encoding}`.trim()).join(", ") || "nothing";
      throw new ProtocolError("RTSP_NO_TRACK", `the server offers no track this node can play (${offered})`);
    }
    const sessionControl = attributeOf(sdp, "control");
    const aggregate = resolveControl(this.#url, base, sessionControl);
    this.#plans = media;
    this.#uris = media.map(({ control }) => resolveControl(this.#url, base, control));
    const requests = this.#uris.map((uri, index) => ({
      uri,
      transport: `RTP/AVP/TCP;unicast;interleaved=${index * 2}-${index * 2 + 1}`,
    }));
    this.#dialogue.setUp(requests, aggregate, this.#nowMs());
  }

  #onSetUp({ index, transport }: RtspEvent & { kind: "set-up" }): void {
    const plan = this.#plans[index]!;
    const [rtp, rtcp] = transport.interleaved ?? [index * 2, index * 2 + 1];
    const clock = this.#timeline.addTrack(plan.clockRate);
    const receiver = new MediaReceiver({
      plan,
      clock,
      ssrc: Math.floor(this.#random() * 2 ** 32),
      cname: "hearth",
      onSample: (sample) => this.#onSample(sample),
      onTrack: () => this.#onTrack(),
    });
    const media = { plan, uri: this.#uris[index]!, clock, receiver, rtcpChannel: rtcp };
    this.#media.push(media);
    this.#channels.set(rtp, { media, isRtcp: false });
    this.#channels.set(rtcp, { media, isRtcp: true });
  }

  #onPlaying(info: readonly RtpInfo[]): void {
    this.#isPlaying = true;
    for (const [index, { rtpTimestamp, url }] of info.entries()) {
      // Servers write relative, absolute and wrong URLs here; the order is right even then.
      const media = this.#media.find(({ uri }) => uri === url || uri.endsWith(`/${url}`)) ?? this.#media[index];
      if (rtpTimestamp !== undefined) media?.clock.setInfo(rtpTimestamp);
    }
    const { clock } = this.#options;
    this.#reportTimer = clock.after(firstReportMs, () => {
      this.#sendReports();
      this.#reportTimer = every(clock, reportPeriodMs, () => this.#sendReports());
    });
    this.#parameterSetTimer = clock.after(parameterSetWaitMs, () => this.#becomeOpen());
    if (this.#isWholeDescription()) this.#becomeOpen();
  }

  #isWholeDescription(): boolean {
    return this.#media.every(({ receiver }) => !isIncomplete(receiver.track));
  }

  #becomeOpen(): void {
    if (this.#state !== "opening") return;
    this.#parameterSetTimer?.cancel();
    this.#state = "open";
    this.#opened.resolve({ source: this });
  }

  #onRedirected(location: string): void {
    if (this.#state !== "opening") return this.#fail(new ProtocolError("RTSP_REDIRECT", "the server moved the stream"));
    this.#opened.resolve({ location });
    void this.close({ code: "redirected" });
  }

  #onInterleaved(channel: number, packet: Uint8Array): void {
    const target = this.#channels.get(channel);
    if (!target || this.#state === "closed") return;
    const nowMs = this.#nowMs();
    const wallMs = this.#wallAtZeroMs + nowMs;
    if (target.isRtcp) target.media.receiver.receiveRtcp(packet, nowMs, wallMs);
    else target.media.receiver.receiveRtp(packet, nowMs, wallMs);
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
    else if (this.#isPlaying && this.#isWholeDescription()) this.#becomeOpen();
  }

  #sendReports(): void {
    this.#step(() => {
      for (const { receiver, rtcpChannel } of this.#media) {
        this.#dialogue.sendInterleaved(rtcpChannel, receiver.takeReport(this.#nowMs()));
      }
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
