import { ProtocolError } from "../flow/errors.ts";
import { parseHearthRequest, type HearthRequest } from "./hearth-extension.ts";
import { ovtCode, parseOvtRequest, RequestFault, serializeOvtResponse } from "./ovt-message.ts";
import { OvtReader } from "./ovt-reader.ts";
import { parseOvtUrl, type OvtUrl } from "./ovt-url.ts";
import type { WireJson } from "./wire-json.ts";

/** A request that was understood, waiting for {@link OvtOriginDialogue.answer}. */
export interface OriginRequest {
  readonly application: "describe" | "play" | "stop";
  readonly id: number;
  readonly target: string;
  readonly url: OvtUrl;
  /** Set when the peer is a Hearth node. */
  readonly hearth: HearthRequest | undefined;
}

/** How patient an origin is with a peer. */
export interface OriginLimits {
  /** From accept to the first whole request. */
  readonly firstRequestMs: number;
  /** A connection without a session after its last request (O-13). */
  readonly idleMs: number;
  readonly maxMessageBytes: number;
  /** Before a session; again as many while one plays. */
  readonly maxRequests: number;
}

export const defaultOriginLimits: OriginLimits = {
  firstRequestMs: 5_000,
  idleMs: 10_000,
  maxMessageBytes: 65_536,
  maxRequests: 8,
};

/**
 * The origin's side of one connection, with no socket and no clock of its own. Requests are handed out one at a time, in
 * order; what cannot be understood is answered here. A throw from `receive` means: close, framing or trust is lost.
 */
export class OvtOriginDialogue {
  readonly #limits: OriginLimits;
  readonly #reader: OvtReader;
  readonly #waiting: OriginRequest[] = [];
  readonly #isSilent: boolean;
  #output: Uint8Array[] = [];
  #busyWith: OriginRequest | undefined;
  #requests = 0;
  #lastActivityMs: number;
  #nowMs: number;
  #wallMs = 0;
  #hasSession = false;
  #mustEnd = false;

  /** @param isSilent a peer that is not known yet gets no answer to what is no request; `receive` throws instead */
  constructor(nowMs: number, limits: OriginLimits = defaultOriginLimits, isSilent = false) {
    this.#isSilent = isSilent;
    this.#limits = limits;
    this.#lastActivityMs = nowMs;
    this.#nowMs = nowMs;
    this.#reader = new OvtReader(
      { role: "origin", maxMessageBytes: limits.maxMessageBytes, maxMediaBytes: 0 },
      { onMessage: (body) => this.#onRequest(body), onMedia: () => {} },
    );
  }

  /** @throws {ProtocolError} when the peer broke the protocol */
  receive(bytes: Uint8Array, nowMs: number, wallMs: number): void {
    if (this.#mustEnd) return;
    this.#nowMs = nowMs;
    this.#wallMs = wallMs;
    this.#reader.push(bytes);
  }

  /** The next request to answer; undefined while one is being answered. */
  nextRequest(): OriginRequest | undefined {
    if (this.#busyWith || this.#mustEnd) return undefined;
    this.#busyWith = this.#waiting.shift();
    return this.#busyWith;
  }

  /** Answers the request handed out last. */
  answer(code: number, message: string, times: { nowMs: number; wallMs: number }, contents?: WireJson): void {
    const request = this.#busyWith;
    if (!request) throw new Error("no request is being answered");
    this.#busyWith = undefined;
    this.#lastActivityMs = times.nowMs;
    const { id, application } = request;
    const response = { id, application, code, message, ...(contents !== undefined && { contents }) };
    this.#output.push(serializeOvtResponse(response, times.wallMs));
    if (application === "play" && code === ovtCode.ok) this.#hasSession = true;
    if (application === "stop" && this.#hasSession) this.#mustEnd = true;
  }

  /** Bytes to send, oldest first, each to be written at once. */
  takeOutput(): Uint8Array | undefined {
    return this.#output.shift();
  }

  get hasSession(): boolean {
    return this.#hasSession;
  }

  /** Whether the connection is to be closed once the output is sent. */
  get mustEnd(): boolean {
    return this.#mustEnd;
  }

  /** Whether the peer has used up the time it has to start a session. */
  isOverdue(nowMs: number): boolean {
    if (this.#hasSession || this.#busyWith) return false;
    const { firstRequestMs, idleMs } = this.#limits;
    return nowMs - this.#lastActivityMs >= (this.#requests === 0 ? firstRequestMs : idleMs);
  }

  #onRequest(body: Uint8Array): void {
    if (this.#mustEnd) return;
    this.#requests++;
    this.#lastActivityMs = this.#nowMs;
    if (this.#requests > this.#limits.maxRequests * (this.#hasSession ? 2 : 1)) {
      throw new ProtocolError("OVT_TOO_MANY_REQUESTS", "too many requests on one connection");
    }
    try {
      this.#waiting.push(understand(body));
    } catch (thrown) {
      if (!(thrown instanceof RequestFault) || this.#isSilent) throw thrown;
      const application = thrown instanceof UnknownApplication ? thrown.application : "unknown";
      const response = { id: thrown.id, application, code: ovtCode.refused, message: thrown.message };
      this.#output.push(serializeOvtResponse(response, this.#wallMs));
      if (thrown.isFatal) this.#mustEnd = true;
    }
  }
}

class UnknownApplication extends RequestFault {
  readonly application: string;

  constructor(application: string, id: number) {
    super("Unknown application", id, false);
    this.application = application;
  }
}

function understand(body: Uint8Array): OriginRequest {
  const { id, application, target, extension } = parseOvtRequest(body);
  const url = parseOvtUrl(target);
  if (!url) throw new RequestFault("An invalid request : Target is not valid", id, false);
  const known = application.toLowerCase();
  if (known !== "describe" && known !== "play" && known !== "stop") {
    throw new UnknownApplication(application.slice(0, 64), id);
  }
  return { id, application: known, target, url, hearth: parseHearthRequest(extension) };
}
