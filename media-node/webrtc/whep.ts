import type { IncomingMessage, ServerResponse } from "node:http";
import { traceHeader } from "../cluster/trace/trace-id.ts";
import type { Admitted, ViewerTarget } from "../core/guest.ts";
import type { StreamHold } from "../core/stream-hub.ts";
import { messageOf, ProtocolError } from "../flow/errors.ts";
import { parseRemoteDescription, type RemoteDescription } from "../sdp/remote-description.ts";
import { atWallTime, type Timer } from "../time/clock.ts";
import type { IceServer } from "./config.ts";
import { acceptOffer, candidatesFor, createAnswer } from "./negotiation.ts";
import { randomToken } from "./random.ts";
import { switchableRenditions } from "./renditions.ts";
import type { DoorOptions, SessionTable } from "./session-table.ts";
import { passGate } from "./stream-gate.ts";
import type { ViewerPlace } from "./viewer-place.ts";

const maxBodyBytes = 64 * 1024;
const bodyMs = 10_000;
/** A session that was deleted is remembered this long, so that a repeated DELETE succeeds. */
const deletedMs = 30_000;
const maxDeleted = 10_000;
const retryAfterSeconds = 2;
const crowded = "too many viewers come at the same time";
/** Third path segment of session URLs: this and the session's id. */
const sessionPrefix = "whep-";

/** On every answer, refusals too. Never the page's own origin: after a redirect browsers send `Origin: null`. */
const corsHeaders = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Methods": "OPTIONS, GET, POST, PATCH, DELETE",
  "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match, traceparent",
  "Access-Control-Expose-Headers": `Location, Link, ETag, Retry-After, Accept-Patch, ID, ${traceHeader}`,
};

/** An answer decided on, before it is written. */
interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** A refusal's reason, or with `Content-Type: application/sdp` a description. */
  readonly body?: string;
}

interface WhepSession {
  readonly session: ViewerPlace;
  readonly etag: string;
}

/** WHEP (draft-ietf-wish-whep): one POST, one session, ended by DELETE on the URL that the POST was answered with. */
export class Whep {
  readonly #options: DoorOptions;
  readonly #table: SessionTable;
  readonly #sessions = new Map<string, WhepSession>();
  /** Sessions ended by DELETE; a Map keeps them in order of their end. */
  readonly #deleted = new Map<string, Timer>();

  constructor(table: SessionTable, options: DoorOptions) {
    this.#table = table;
    this.#options = options;
  }

  /** Whether the request is for WHEP; if so it will be answered. */
  handle(request: IncomingMessage, response: ServerResponse, target: ViewerTarget): boolean {
    const isSession = target.file.startsWith(sessionPrefix);
    const isEndpoint = target.file === "whep" || target.query.get("direction")?.toLowerCase() === "whep";
    if (!isSession && !isEndpoint) return false;
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    this.#answer(request, target, isSession, gone.signal)
      .catch((thrown: unknown): Answer => {
        this.#options.logger.error("whep failed", { error: messageOf(thrown) });
        return { status: 500, body: "internal error" };
      })
      .then((answer) => write(response, request.method === "HEAD", isSession ? answer : withTrace(answer, target)))
      .catch((thrown: unknown) => this.#options.logger.error("whep not answered", { error: messageOf(thrown) }));
    return true;
  }

  /** Forgets the sessions that were deleted. Those that go on are the session table's to end. */
  close(): void {
    for (const timer of this.#deleted.values()) timer.cancel();
    this.#deleted.clear();
  }

  #answer(request: IncomingMessage, target: ViewerTarget, isSession: boolean, signal: AbortSignal): Promise<Answer> {
    if (request.method === "OPTIONS") return Promise.resolve(preflight);
    return isSession ? this.#onSession(request, target) : this.#onEndpoint(request, target, signal);
  }

  async #onEndpoint(request: IncomingMessage, target: ViewerTarget, signal: AbortSignal): Promise<Answer> {
    if (request.method === "GET" || request.method === "HEAD") return { status: 204 };
    if (request.method !== "POST") return notAllowed("OPTIONS, GET, HEAD, POST");
    if (this.#table.refusal) return tryLater(503, "this node takes no new viewers");
    if (this.#options.joins.isFull(target.remoteAddress)) return tryLater(503, crowded);
    if (mediaType(request) !== "application/sdp") return { status: 415, body: "send application/sdp" };
    if (!acceptsSdp(request.headers.accept)) return { status: 406, body: "the answer is application/sdp" };
    const body = await readBody(request, this.#options);
    if (typeof body !== "string") return body;
    const offer = parseOffer(body);
    if ("status" in offer) return offer;
    const admission = await this.#options.admit(target, "whep", request.headers.authorization);
    if (!admission.isAdmitted) return refused(request, target, admission);
    const answer = await this.#play(offer, target, admission, signal).catch((thrown: unknown) => {
      admission.onEnd?.();
      throw thrown;
    });
    if (answer.status !== 201) admission.onEnd?.();
    return answer;
  }

  async #play(
    offer: RemoteDescription,
    asked: ViewerTarget,
    admission: Admitted,
    signal: AbortSignal,
  ): Promise<Answer> {
    const target = admission.target ?? asked;
    const { rawQuery, remoteAddress: client, trace } = target;
    const gateOptions = { ...this.#options, holdMs: this.#options.config.holdMs };
    const prepared = this.#table.prepare();
    const gate = await passGate(target, { protocol: "whep", rawQuery, client, trace }, gateOptions, signal);
    await prepared;
    if (gate.kind === "not-found") return { status: 404, body: gate.reason };
    if (gate.kind === "not-yet") return tryLater(409, gate.reason);
    const hasTurn = await this.#options.joins.turn(asked.remoteAddress, signal);
    if (!hasTurn && !signal.aborted) {
      gate.hold.release();
      return tryLater(503, crowded);
    }
    if (signal.aborted || this.#table.refusal || !this.#table.hasPlace) {
      gate.hold.release();
      return tryLater(503, "this node takes no new viewers");
    }
    if (gate.hold.stream.isClosed) {
      gate.hold.release();
      return tryLater(409, "the stream ended");
    }
    return this.#open(gate.hold, offer, asked, admission);
  }

  /** Owns `hold`: a session takes it over, or it is released. */
  #open(hold: StreamHold, offer: RemoteDescription, asked: ViewerTarget, admission: Admitted): Answer {
    const { target = asked, endsAtMs, onEnd } = admission;
    let session: ViewerPlace | undefined;
    try {
      const playlist = this.#table.playlistOf(hold.stream, target.file === "whep" ? "" : target.file);
      if ("refusal" in playlist) return { status: 422, body: playlist.refusal };
      const agreed = acceptOffer(offer, playlist);
      if (!agreed) return { status: 422, body: "the offer has no codec that this stream is in" };
      const id = randomToken(this.#options.random, 24);
      const { app, stream, remoteAddress: viewer, trace } = target;
      const log = this.#options.logger.with({ app, stream, viewer, trace });
      let expiry: Timer | undefined;
      const opened = this.#table.open(hold, log, target.remoteAddress, () => {
        this.#sessions.delete(id);
        expiry?.cancel();
        onEnd?.();
      });
      session = opened;
      if (endsAtMs !== undefined) {
        const reason = { code: "expired", message: "the viewer's policy ended" };
        expiry = atWallTime(this.#options.clock, endsAtMs, () => opened.close(reason));
      }
      const { random, config } = this.#options;
      const hasRelay = config.iceServers.length > 0;
      const candidates = candidatesFor(session.port, target.query.get("transport"), hasRelay);
      const answering = { port: session.port, random, config, candidates };
      const { sdp, negotiated } = createAnswer(session.peer, offer, agreed, answering);
      const codecOf = (kind: string) => negotiated.formats.find((format) => format.kind === kind)?.codec;
      const codecs = { video: codecOf("video"), audio: codecOf("audio") };
      const renditions = switchableRenditions(playlist, codecs);
      session.accept(negotiated, offer, renditions[0] ?? playlist.renditions[0]!);
      if (playlist.isAuto) session.chooseAmong(renditions, () => {});
      const etag = `"${randomToken(this.#options.random, 8)}"`;
      if (!session.isEnded) this.#sessions.set(id, { session, etag });
      return created(
        sdp,
        `${asked.baseUrl}/${asked.app}/${asked.stream}/${sessionPrefix}${id}`,
        etag,
        config.iceServers,
      );
    } catch (thrown) {
      session?.close({ code: "refused", message: messageOf(thrown) });
      if (thrown instanceof ProtocolError) return { status: 400, body: thrown.message };
      throw thrown;
    } finally {
      if (!session) hold.release();
    }
  }

  async #onSession(request: IncomingMessage, target: ViewerTarget): Promise<Answer> {
    const id = target.file.slice(sessionPrefix.length);
    const found = this.#sessions.get(id);
    if (request.method === "DELETE") return this.#delete(id, found);
    if (request.method !== "PATCH") return notAllowed("OPTIONS, PATCH, DELETE");
    if (!found) return { status: 404, body: "no such session" };
    return patch(request, found, await readBody(request, this.#options));
  }

  #delete(id: string, found: WhepSession | undefined): Answer {
    if (!found) return this.#deleted.has(id) ? { status: 200 } : { status: 404, body: "no such session" };
    found.session.close({ code: "deleted" });
    if (this.#deleted.size >= maxDeleted) this.#forget(this.#deleted.keys().next().value!);
    this.#deleted.set(
      id,
      this.#options.clock.after(deletedMs, () => this.#forget(id)),
    );
    return { status: 200 };
  }

  #forget(id: string): void {
    this.#deleted.get(id)?.cancel();
    this.#deleted.delete(id);
  }
}

const preflight: Answer = {
  status: 204,
  headers: {
    "Accept-Post": "application/sdp",
    "Accept-Patch": "application/trickle-ice-sdpfrag",
    "Access-Control-Max-Age": "86400",
    "Access-Control-Allow-Private-Network": "true",
  },
};

function created(sdp: string, location: string, etag: string, iceServers: readonly IceServer[]): Answer {
  const links = iceServers.flatMap(iceServerLinks);
  return {
    status: 201,
    headers: {
      ...(links.length > 0 && { Link: links }),
      "Content-Type": "application/sdp",
      Location: location,
      ETag: etag,
      "Accept-Patch": "application/trickle-ice-sdpfrag",
    },
    body: sdp,
  };
}

/** One line a server's address, as RFC 9725 §4.6 has them. */
function iceServerLinks({ urls, username, credential }: IceServer): string[] {
  const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;
  const user = username === undefined ? "" : `; username=${quoted(username)}`;
  const secret = credential === undefined ? "" : `; credential=${quoted(credential)}; credential-type="password"`;
  return urls.map((url) => `<${url}>; rel="ice-server"${/^turn/i.test(url) ? user + secret : ""}`);
}

/** Who offers is told under which id to look for its session in the logs. */
function withTrace(answer: Answer, { trace }: ViewerTarget): Answer {
  return trace === undefined ? answer : { ...answer, headers: { ...answer.headers, [traceHeader]: trace } };
}

/** Trickled candidates are welcome and not needed; a restart of ICE is not offered (draft §4.3.2). */
function patch(request: IncomingMessage, { etag }: WhepSession, body: string | Answer): Answer {
  if (typeof body !== "string") return body;
  if (mediaType(request) !== "application/trickle-ice-sdpfrag") {
    return { status: 415, body: "send application/trickle-ice-sdpfrag" };
  }
  const condition = request.headers["if-match"];
  if (condition === undefined) return { status: 428, body: "send If-Match with the session's ETag" };
  if (condition === "*") return { status: 422, body: "ICE restarts are not supported: open a new session" };
  if (!condition.split(",").some((tag) => tag.trim() === etag)) return { status: 412, body: "the ETag is stale" };
  return { status: 204 };
}

function parseOffer(body: string): RemoteDescription | Answer {
  try {
    return parseRemoteDescription(body);
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return { status: 400, body: thrown.message };
    throw thrown;
  }
}

function refused(
  request: IncomingMessage,
  target: ViewerTarget,
  { status, reason }: { readonly status: 401 | 403; readonly reason: string },
): Answer {
  const sentCredentials = request.headers.authorization !== undefined || target.query.has("token");
  const headers = status === 401 && !sentCredentials ? { "WWW-Authenticate": "Bearer" } : {};
  return { status, headers, body: reason };
}

function tryLater(status: 409 | 503, body: string): Answer {
  return { status, headers: { "Retry-After": String(retryAfterSeconds) }, body };
}

function notAllowed(allow: string): Answer {
  return { status: 405, headers: { Allow: allow }, body: "method not allowed" };
}

function mediaType(request: IncomingMessage): string {
  return (request.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
}

/** RFC 9110 §12.5.1; a range of weight 0 is none. */
function acceptsSdp(accept: string | undefined): boolean {
  if (accept === undefined || accept.trim() === "") return true;
  return accept.split(",").some((item) => {
    const [range = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
    const isRefused = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    return ["application/sdp", "application/*", "*/*"].includes(range) && !isRefused;
  });
}

/** Reads a body within its limits of size and time. */
function readBody(request: IncomingMessage, { clock }: DoorOptions): Promise<string | Answer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const deadline = clock.after(bodyMs, () => finish({ status: 408, body: "the body took too long" }));
    const finish = (result: string | Answer): void => {
      deadline.cancel();
      request.removeAllListeners("data");
      if (typeof result !== "string") request.resume();
      resolve(result);
    };
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) finish({ status: 413, body: "the body is too large" });
      else chunks.push(chunk);
    });
    request.once("end", () => finish(Buffer.concat(chunks).toString("utf8")));
    request.once("error", () => finish({ status: 400, body: "the body broke off" }));
    request.once("close", () => finish({ status: 400, body: "the body broke off" }));
  });
}

function write(response: ServerResponse, isHead: boolean, { status, headers = {}, body = "" }: Answer): void {
  if (response.destroyed || response.headersSent) return;
  const text = Buffer.from(body, "utf8");
  const hasBody = status !== 204 && !isHead;
  response.writeHead(status, {
    ...corsHeaders,
    "Cache-Control": "no-store",
    ...(body !== "" && { "Content-Type": "text/plain; charset=utf-8" }),
    ...(status !== 204 && { "Content-Length": String(text.length) }),
    ...headers,
  });
  response.end(hasBody ? text : undefined);
}
