import { ProtocolError } from "../flow/errors.ts";
import { serializeInterleavedFrame } from "./interleaved-frame.ts";
import { chooseChallenge, RtspAuthorizer } from "./rtsp-authentication.ts";
import { RtspDeframer } from "./rtsp-deframer.ts";
import {
  headerOf,
  headersOf,
  serializeRtspRequest,
  serializeRtspResponse,
  type RtspRequest,
  type RtspResponse,
} from "./rtsp-message.ts";
import {
  parseRtpInfo,
  parseSessionHeader,
  parseTransportHeader,
  type RtpInfo,
  type TransportHeader,
} from "./rtsp-headers.ts";
import { controlBaseOf, type RtspUrl } from "./rtsp-url.ts";

/** What the server just made true. */
export type RtspEvent =
  /** `base` is what control attributes are relative to. Answer with {@link RtspDialogue.setUp}. */
  | { readonly kind: "described"; readonly sdp: string; readonly base: string }
  | { readonly kind: "set-up"; readonly index: number; readonly transport: TransportHeader }
  | { readonly kind: "set-up-refused"; readonly index: number; readonly status: number; readonly reason: string }
  /** 461 before anything was set up: {@link RtspDialogue.setUp} may be called again with another transport. */
  | { readonly kind: "transport-refused"; readonly status: number; readonly reason: string }
  | { readonly kind: "playing"; readonly info: readonly RtpInfo[] }
  | { readonly kind: "redirected"; readonly location: string }
  /** The server said no; the dialogue is over. */
  | { readonly kind: "refused"; readonly method: string; readonly status: number; readonly reason: string }
  /** The dialogue is over for another reason; `code` is stable. */
  | { readonly kind: "ended"; readonly code: string; readonly message: string };

export interface RtspDialogueOptions {
  readonly url: RtspUrl;
  /** 0 ≤ x < 1; client nonces are made of it. */
  readonly random: () => number;
  /** Takes interleaved packets; `packet` is a view into the bytes received. */
  readonly onInterleaved: (channel: number, packet: Uint8Array) => void;
}

/** One track to set up: its resolved control URI and the `Transport` header to ask for. */
export interface SetUpRequest {
  readonly uri: string;
  readonly transport: string;
}

/** A server that has not answered by then will not; the attempt as a whole has 6 s. */
export const answerTimeoutMs = 5_000;
/** OPTIONS is a courtesy: without an answer there must be time left for the rest. */
const optionsTimeoutMs = 1_500;
/** RFC 2326 §12.37. */
const defaultSessionTimeoutMs = 60_000;
/** Also for servers that keep sessions for hours: a connection that says nothing is dropped by middleboxes. */
const maxKeepAliveMs = 30_000;
/** A server cannot make us queue more than this before the socket takes it. */
const maxOutputBytes = 256 * 1024;
const userAgent = "Hearth";

type Phase = "new" | "options" | "describe" | "described" | "set-up" | "play" | "playing" | "over";

interface PendingRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly cseq: number;
  readonly sentMs: number;
  readonly hasAuthorization: boolean;
  readonly attempt: number;
}

/** The client's side of RTSP 1.0 (RFC 2326), with no socket and no clock of its own. One request is open at a time. */
export class RtspDialogue {
  readonly #options: RtspDialogueOptions;
  readonly #deframer: RtspDeframer;
  #phase: Phase = "new";
  #output: Uint8Array[] = [];
  #outputBytes = 0;
  #events: RtspEvent[] = [];
  #nowMs = 0;
  #cseq = 0;
  #pending: PendingRequest | undefined;
  /** Requests given up, whose late answers must not be taken for another's. */
  readonly #abandoned = new Set<number>();
  #authorizer: { header: RtspAuthorizer; isProven: boolean } | undefined;
  #sessionId: string | undefined;
  #sessionTimeoutMs = defaultSessionTimeoutMs;
  #aggregateUri: string;
  #setUps: readonly SetUpRequest[] = [];
  #setUpIndex = 0;
  #setUpCount = 0;
  #channels = new Set<number>();
  #keepAliveMethod = "GET_PARAMETER";
  #keepAliveMs: number | undefined;

  constructor(options: RtspDialogueOptions) {
    this.#options = options;
    this.#aggregateUri = options.url.requestUri;
    this.#deframer = new RtspDeframer({
      // What stands behind the end in the same read is not listened to either.
      onInterleaved: (channel, packet) => {
        if (this.#phase !== "over") options.onInterleaved(channel, packet);
      },
      isKnownChannel: (channel) => this.#channels.size === 0 || this.#channels.has(channel),
      onMessage: (message) => {
        if (this.#phase === "over") return;
        if (message.kind === "response") this.#onResponse(message);
        else this.#onRequest(message);
      },
    });
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Bytes between messages that belonged to nothing. */
  get skippedBytes(): number {
    return this.#deframer.skipped;
  }

  /** What the server allows between two requests. */
  get sessionTimeoutMs(): number {
    return this.#sessionTimeoutMs;
  }

  /** When {@link timeout} must be called at the latest. */
  get nextTimeoutMs(): number | undefined {
    if (this.#phase === "over") return undefined;
    return this.#answerDueMs() ?? (this.#phase === "playing" ? this.#keepAliveMs : undefined);
  }

  /** Asks what the server can do, then for the description. */
  begin(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#phase = "options";
    this.#request("OPTIONS", this.#options.url.requestUri);
  }

  /** Bytes that are no RTSP end the dialogue. What `onInterleaved` throws passes through. */
  receive(bytes: Uint8Array, nowMs: number): RtspEvent[] {
    this.#nowMs = nowMs;
    if (this.#phase === "over") return [];
    try {
      this.#deframer.push(bytes);
    } catch (thrown) {
      if (!(thrown instanceof ProtocolError)) throw thrown;
      this.#end({ kind: "ended", code: thrown.code, message: thrown.message });
    }
    return this.#takeEvents();
  }

  timeout(nowMs: number): RtspEvent[] {
    this.#nowMs = nowMs;
    if (this.#phase === "over") return [];
    if (this.#pending && nowMs >= this.#answerDueMs()!) this.#giveUpWaiting(this.#pending);
    if (!this.#pending && this.#keepAliveMs !== undefined && nowMs >= this.#keepAliveMs) this.#keepAlive();
    return this.#takeEvents();
  }

  /**
   * Sets up the tracks in order and plays those the server grants.
   * @param aggregateUri what PLAY, keep-alive and TEARDOWN are addressed to
   */
  setUp(tracks: readonly SetUpRequest[], aggregateUri: string, nowMs: number): void {
    if (this.#phase !== "described" || tracks.length === 0) throw new Error("setUp follows a description, with tracks");
    this.#nowMs = nowMs;
    this.#aggregateUri = aggregateUri;
    this.#setUps = tracks;
    this.#setUpIndex = 0;
    this.#phase = "set-up";
    this.#sendSetUp();
  }

  /** Queues an interleaved packet, e.g. a receiver report. */
  sendInterleaved(channel: number, payload: Uint8Array): void {
    if (this.#phase === "playing") this.#send(serializeInterleavedFrame({ channel, payload }));
  }

  /** Says goodbye, where there is a session. Nothing is answered or sent afterwards. */
  tearDown(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#phase === "over") return;
    if (this.#sessionId !== undefined) this.#request("TEARDOWN", this.#aggregateUri);
    this.#phase = "over";
  }

  /** Bytes to send, oldest first. */
  takeOutput(): Uint8Array | undefined {
    const bytes = this.#output.shift();
    if (bytes) this.#outputBytes -= bytes.length;
    return bytes;
  }

  #takeEvents(): RtspEvent[] {
    const events = this.#events;
    if (events.length > 0) this.#events = [];
    return events;
  }

  #end(event: RtspEvent): void {
    this.#phase = "over";
    this.#events.push(event);
  }

  #send(bytes: Uint8Array): void {
    this.#outputBytes += bytes.length;
    if (this.#outputBytes > maxOutputBytes) throw new ProtocolError("RTSP_OUTPUT", "the server asks and does not read");
    this.#output.push(bytes);
  }

  #request(method: string, uri: string, headers: PendingRequest["headers"] = [], attempt = 0): void {
    const cseq = ++this.#cseq;
    const authorization = this.#authorizer?.header.authorize(method, uri);
    const all: (readonly [string, string])[] = [["CSeq", String(cseq)], ...headers, ["User-Agent", userAgent]];
    if (this.#sessionId !== undefined) all.push(["Session", this.#sessionId]);
    if (authorization !== undefined) all.push(["Authorization", authorization]);
    this.#pending = {
      method,
      uri,
      headers,
      cseq,
      sentMs: this.#nowMs,
      hasAuthorization: authorization !== undefined,
      attempt,
    };
    this.#keepAliveMs = this.#nowMs + this.#keepAlivePeriodMs();
    this.#send(serializeRtspRequest(method, uri, all));
  }

  /** While media flows an answer is waited for no longer than until the next keep-alive. */
  #answerDueMs(): number | undefined {
    if (!this.#pending) return undefined;
    let waitMs = answerTimeoutMs;
    if (this.#phase === "options") waitMs = optionsTimeoutMs;
    if (this.#phase === "playing") waitMs = Math.min(answerTimeoutMs, this.#keepAlivePeriodMs());
    return this.#pending.sentMs + waitMs;
  }

  #keepAlivePeriodMs(): number {
    return Math.min(maxKeepAliveMs, Math.max(1_000, this.#sessionTimeoutMs / 2));
  }

  #keepAlive(): void {
    if (this.#phase === "playing") this.#request(this.#keepAliveMethod, this.#aggregateUri);
  }

  #giveUpWaiting(pending: PendingRequest): void {
    this.#pending = undefined;
    // Many cameras never answer a keep-alive; as long as media flows nothing is wrong.
    if (this.#phase === "playing") {
      this.#abandoned.add(pending.cseq);
      // It may know the other method: servers announce what they do not answer, and the other way round.
      this.#keepAliveMethod = pending.method === "OPTIONS" ? "GET_PARAMETER" : "OPTIONS";
    } else if (pending.method === "OPTIONS") {
      this.#abandoned.add(pending.cseq);
      this.#describe();
    } else {
      const message = `the server did not answer ${pending.method} within ${answerTimeoutMs / 1000} s`;
      this.#end({ kind: "ended", code: "RTSP_NO_ANSWER", message });
    }
    for (const cseq of this.#abandoned) if (this.#abandoned.size > 16) this.#abandoned.delete(cseq);
  }

  #describe(): void {
    this.#phase = "describe";
    this.#request("DESCRIBE", this.#options.url.requestUri, [["Accept", "application/sdp"]]);
  }

  #sendSetUp(): void {
    const { uri, transport } = this.#setUps[this.#setUpIndex]!;
    this.#request("SETUP", uri, [["Transport", transport]]);
  }

  #onResponse(response: RtspResponse): void {
    const pending = this.#pending;
    // Answers without or with a wrong CSeq are taken for the open request's: there is only one.
    const cseq = Number.parseInt(headerOf(response, "cseq") ?? "", 10);
    if (this.#abandoned.delete(cseq) || !pending) return;
    if (response.status < 200) return;
    this.#pending = undefined;
    if (response.status === 401) return this.#onChallenge(pending, response);
    if (this.#authorizer) this.#authorizer.isProven = true;
    const session = headerOf(response, "session");
    if (session !== undefined && pending.method === "SETUP") this.#onSession(session);
    if (this.#isRedirect(response)) {
      return this.#end({ kind: "redirected", location: headerOf(response, "location")! });
    }
    this.#advance(pending, response);
  }

  #isRedirect(response: RtspResponse): boolean {
    return (
      response.status >= 300 && response.status < 400 && response.status !== 304 && response.headers.has("location")
    );
  }

  #onSession(value: string): void {
    const { id, timeoutMs } = parseSessionHeader(value);
    // Some servers give every track an id of its own and know only the first.
    this.#sessionId ??= id || undefined;
    this.#sessionTimeoutMs = timeoutMs ?? this.#sessionTimeoutMs;
  }

  #onChallenge(pending: PendingRequest, response: RtspResponse): void {
    const challenge = chooseChallenge(headersOf(response, "www-authenticate"));
    const { credentials } = this.#options.url;
    const before = this.#authorizer;
    const isRenewal =
      challenge?.scheme === "digest" && (challenge.isStale || (before?.isProven ?? false)) && pending.attempt < 2;
    if (!challenge || !credentials || (pending.hasAuthorization && !isRenewal)) {
      return this.#refuse(pending, response);
    }
    const nonce = Array.from({ length: 8 }, () =>
      Math.floor(this.#options.random() * 65_536)
        .toString(16)
        .padStart(4, "0"),
    );
    this.#authorizer = { header: new RtspAuthorizer(challenge, credentials, nonce.join("")), isProven: false };
    this.#request(pending.method, pending.uri, pending.headers, pending.attempt + 1);
  }

  #refuse(pending: PendingRequest, { status, reason }: RtspResponse): void {
    this.#end({ kind: "refused", method: pending.method, status, reason });
  }

  #advance(pending: PendingRequest, response: RtspResponse): void {
    const isGood = response.status < 300;
    switch (this.#phase) {
      case "options":
        // A server that does not know OPTIONS may know DESCRIBE.
        if (isGood) this.#onOptions(response);
        return this.#describe();
      case "describe":
        return isGood ? this.#onDescribed(response) : this.#refuse(pending, response);
      case "set-up":
        return this.#onSetUp(pending, response);
      case "play":
        return isGood ? this.#onPlaying(response) : this.#refuse(pending, response);
      case "playing":
        return this.#onKeptAlive(pending, response);
      default:
    }
  }

  #onOptions(response: RtspResponse): void {
    const methods = headersOf(response, "public").join(",").toUpperCase();
    if (methods !== "" && !methods.includes("GET_PARAMETER")) this.#keepAliveMethod = "OPTIONS";
  }

  #onDescribed(response: RtspResponse): void {
    const { url } = this.#options;
    this.#phase = "described";
    this.#keepAliveMs = undefined;
    const base = controlBaseOf(url, headerOf(response, "content-base"), headerOf(response, "content-location"));
    this.#events.push({ kind: "described", sdp: new TextDecoder().decode(response.body), base });
  }

  #onSetUp(pending: PendingRequest, response: RtspResponse): void {
    const { status, reason } = response;
    if (status === 461 && this.#setUpCount === 0) {
      this.#phase = "described";
      this.#events.push({ kind: "transport-refused", status, reason });
      return;
    }
    const index = this.#setUpIndex++;
    if (status < 300) {
      this.#setUpCount++;
      const transport = parseTransportHeader(headerOf(response, "transport") ?? "");
      for (const channel of transport.interleaved ?? []) this.#channels.add(channel);
      this.#events.push({ kind: "set-up", index, transport });
    } else this.#events.push({ kind: "set-up-refused", index, status, reason });
    if (this.#setUpIndex < this.#setUps.length) return this.#sendSetUp();
    if (this.#setUpCount === 0) return this.#refuse(pending, response);
    this.#phase = "play";
    // No Range: a server that sends one stream to many would take everyone back to its beginning.
    this.#request("PLAY", this.#aggregateUri);
  }

  #onPlaying(response: RtspResponse): void {
    this.#phase = "playing";
    this.#keepAliveMs = this.#nowMs + this.#keepAlivePeriodMs();
    this.#events.push({ kind: "playing", info: parseRtpInfo(headersOf(response, "rtp-info").join(",")) });
  }

  #onKeptAlive(pending: PendingRequest, { status, reason }: RtspResponse): void {
    if (status === 454) {
      return this.#end({ kind: "ended", code: "RTSP_SESSION_GONE", message: "the server forgot the session (454)" });
    }
    if (status >= 400 && pending.method === this.#keepAliveMethod && pending.method !== "OPTIONS") {
      this.#keepAliveMethod = "OPTIONS";
    } else if (status === 404 || status === 410) {
      this.#end({ kind: "ended", code: "RTSP_GONE", message: `the server ended the stream: ${status} ${reason}` });
    }
  }

  /** Servers may ask too (RFC 2326 §10); being polite keeps the connection. */
  #onRequest(request: RtspRequest): void {
    const { method } = request;
    const isKnown = ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE", "TEARDOWN", "REDIRECT"].includes(method);
    const headers: [string, string][] = [["CSeq", headerOf(request, "cseq") ?? "0"]];
    if (method === "OPTIONS") headers.push(["Public", "OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE"]);
    this.#send(serializeRtspResponse(isKnown ? 200 : 501, isKnown ? "OK" : "Not Implemented", headers));
    if (method === "TEARDOWN")
      this.#end({ kind: "ended", code: "RTSP_TEARDOWN", message: "the server ended the session" });
    const location = headerOf(request, "location");
    if (method === "REDIRECT" && location !== undefined) this.#end({ kind: "redirected", location });
  }
}
