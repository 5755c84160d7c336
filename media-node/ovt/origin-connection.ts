import type { Duplex } from "node:stream";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf, ProtocolError } from "../flow/errors.ts";
import type { LogFields, Logger } from "../flow/logger.ts";
import type { StreamHold, StreamHub, StreamRequest } from "../core/stream-hub.ts";
import type { StreamName } from "../core/stream-name.ts";
import type { Clock } from "../time/clock.ts";
import { pulseApplication, pulseEveryMs, serializePulse } from "./hearth-extension.ts";
import { toOvtDescription, withoutHash } from "./description-mapping.ts";
import { OvtOriginDialogue, type OriginLimits, type OriginRequest } from "./origin-dialogue.ts";
import { serializeOvtDescription, type OvtDescription } from "./ovt-description.ts";
import { ovtCode, serializeOvtResponse } from "./ovt-message.ts";
import { withoutQueryKey } from "./ovt-url.ts";
import { tokenQueryKey, type PeerGuard } from "./peer-guard.ts";
import { SendQueue } from "./send-queue.ts";
import {
  describeDeadlineMs,
  hearthDeadlineMs,
  lookUpStream,
  measureTracks,
  type LookupResult,
} from "./stream-lookup.ts";
import type { OutletTap, StreamOutlet } from "./stream-outlet.ts";

/** What a connection needs of the publisher that owns it. */
export interface OriginHost {
  readonly hub: Pick<StreamHub, "acquire">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  readonly serverId: string;
  readonly guard: PeerGuard;
  readonly limits: OriginLimits;
  readonly maxQueueBytes: number;
  readonly maxQueueAgeMs: number;
  readonly stallMs: number;
  readonly sendsDataToOthers: boolean;
  readonly stats: OriginStats;
  resolveVhost(host: string): string | undefined;
  onSession(connection: OriginConnection): void;
  /** Counts a connection that ended because of its peer. */
  onFault(code: string, remote: string): void;
  outletOf(hold: StreamHold): StreamOutlet;
  leaveOutlet(outlet: StreamOutlet, tap: OutletTap): void;
}

/** Counters of a publisher since it began; gauges end in `Live`. */
export interface OriginStats {
  connectionsOpened: number;
  connectionsLive: number;
  connectionsRefused: number;
  sessionsStarted: number;
  sessionsLive: number;
  samplesDropped: number;
  bytesSent: number;
  /** Connections ended because the peer broke the protocol or a limit, by code. */
  readonly faults: Record<string, number>;
}

interface Session {
  readonly hold: StreamHold;
  /** What its lines in the log name. */
  readonly fields: LogFields;
  readonly outlet: StreamOutlet;
  readonly queue: SendQueue;
  readonly tap: OutletTap;
  reportedDrops: number;
  readonly wantsPulse: boolean;
  /** When it was last told the time. */
  pulseMs: number;
}

/** What is handed to the socket before it must take some; the rest waits in the session's queue, which has limits. */
const maxSocketBytes = 256 * 1024;
/** How long a peer may take to close its half after everything was handed to the network. */
const lingerMs = 500;
/** A chain of more nodes than this is a mistake. */
const maxHops = 8;

/** One edge's connection: a thin shell around {@link OvtOriginDialogue} that owns the socket and the session on it. */
export class OriginConnection {
  readonly remote: string;
  readonly #connection: Duplex;
  readonly #host: OriginHost;
  readonly #log: Logger;
  readonly #dialogue: OvtOriginDialogue;
  readonly #gone = Promise.withResolvers<void>();
  #session: Session | undefined;
  #lastProgressMs: number;
  /** Set once nothing new is sent; the socket is closed when what waits is written, or at this time. */
  #endByMs: number | undefined;

  constructor(connection: Duplex, remote: string, host: OriginHost) {
    this.remote = remote;
    this.#connection = connection;
    this.#host = host;
    this.#log = host.logger.with({ remote });
    const nowMs = host.clock.nowMs();
    this.#lastProgressMs = nowMs;
    const isSilent = !host.guard.isOpen && !host.guard.isTrusted(remote);
    this.#dialogue = new OvtOriginDialogue(nowMs, host.limits, isSilent);
    connection.on("data", (chunk: Uint8Array) => this.#onData(chunk));
    connection.on("drain", () => this.#onDrain());
    connection.on("end", () => this.#finish());
    connection.on("finish", () => this.end(lingerMs));
    connection.on("error", () => connection.destroy());
    connection.on("close", () => {
      this.#leave();
      this.#gone.resolve();
    });
  }

  get hasSession(): boolean {
    return this.#session !== undefined;
  }

  /** What waits here and in the socket. */
  get queuedBytes(): number {
    return (this.#session?.queue.bytes ?? 0) + this.#connection.writableLength;
  }

  /** Resolves when the socket is gone. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Ends on the border of a sample, within `withinMs`. */
  end(withinMs: number): void {
    const byMs = this.#host.clock.nowMs() + withinMs;
    this.#endByMs = Math.min(this.#endByMs ?? byMs, byMs);
    this.#pump();
  }

  /** Ends what is overdue, and tells an edge the time; called a few times a second. */
  tick(nowMs: number): void {
    if (this.#connection.destroyed) return;
    this.#tellTime(nowMs);
    const isStalled = this.#connection.writableLength > 0 && nowMs - this.#lastProgressMs >= this.#host.stallMs;
    if (isStalled) this.#abandon("OVT_STALLED");
    else if (this.#endByMs !== undefined && nowMs >= this.#endByMs) this.#connection.destroy();
    else if (this.#endByMs === undefined && this.#dialogue.isOverdue(nowMs)) this.#abandon("OVT_IDLE");
    this.#countDrops();
  }

  #onData(chunk: Uint8Array): void {
    const { clock } = this.#host;
    try {
      this.#dialogue.receive(chunk, clock.nowMs(), clock.wallMs());
    } catch (thrown) {
      const code = thrown instanceof ProtocolError ? thrown.code : "OVT_FAILED";
      if (code === "OVT_FAILED") this.#log.error("ovt connection failed", { error: messageOf(thrown) });
      return this.#abandon(code);
    }
    this.#serve();
  }

  #serve(): void {
    this.#flushAnswers();
    const request = this.#dialogue.nextRequest();
    if (!request) return;
    this.#answer(request).catch((thrown: unknown) => {
      this.#log.error("ovt request failed", { error: messageOf(thrown) });
      this.#connection.destroy();
    });
  }

  async #answer(request: OriginRequest): Promise<void> {
    const { guard, clock } = this.#host;
    // Who plays was admitted; its token may have expired since.
    if (!this.#session && !guard.admits(request, this.remote, clock.wallMs())) return this.#abandon("OVT_UNAUTHORIZED");
    if (request.application === "describe") await this.#describe(request);
    else if (request.application === "play") await this.#play(request);
    else this.#stop();
    if (!this.#connection.destroyed) this.#serve();
  }

  async #describe(request: OriginRequest): Promise<void> {
    const found = await this.#lookUp(request);
    if (found.kind === "not-found") return this.#say(ovtCode.refused, noSuchStream(request, found));
    if (found.kind === "not-ready") {
      return this.#say(ovtCode.notReady, `(${nameOf(request, found)}) stream has not started.`);
    }
    const { stream } = found.hold;
    const { nodeId, serverId } = this.#host;
    const measures = measureTracks(stream);
    const { beganMs, name } = stream;
    const description = { ...stream.description, ...(beganMs !== undefined && { beganMs }) };
    const published = { name, description, nodeId, serverId, measures };
    this.#say(ovtCode.ok, "ok", toOvtDescription(published, request.hearth !== undefined));
    found.hold.release();
  }

  async #play(request: OriginRequest): Promise<void> {
    if (this.#session) return this.#say(ovtCode.refused, "Internal Error : Cannot create session");
    const found = await this.#lookUp(request, !request.hearth);
    if (found.kind !== "stream" || this.#connection.destroyed || this.#endByMs !== undefined) {
      if (found.kind === "stream") found.hold.release();
      return this.#say(ovtCode.refused, noSuchStream(request, found));
    }
    this.#say(ovtCode.ok, "ok");
    this.#flushAnswers();
    this.#startSession(found.hold, request);
  }

  #stop(): void {
    this.#session?.queue.clear();
    this.#say(ovtCode.ok, "ok");
  }

  async #lookUp(request: OriginRequest, needsMedia = false): Promise<LookupResult & { readonly vhost: string }> {
    const { hub, clock, nodeId } = this.#host;
    const { url, hearth } = request;
    // Names of virtual hosts have the brackets of an IPv6 literal, as in URLs.
    const vhost = this.#host.resolveVhost(url.host.includes(":") ? `[${url.host}]` : url.host);
    const via = hearth?.via ?? [];
    if (vhost === undefined) {
      const { host, app, stream } = url;
      const remedy = "add the host to Host/Names of a virtual host, or have the edge's Url name one that is there";
      this.#log.warn("an edge asks for a host of no virtual host", { host: host.slice(0, 256), app, stream, remedy });
      return { kind: "not-found", vhost: "" };
    }
    if (via.includes(nodeId) || via.length > maxHops) {
      const { app, stream } = url;
      this.#log.warn("refused a pull in a circle", { app, stream, hops: via.length, ...traceIn(request) });
      return { kind: "not-found", vhost };
    }
    const name: StreamName = { vhost, app: url.app, stream: url.stream };
    const rawQuery = withoutQueryKey(url.query, tokenQueryKey);
    const wanted: StreamRequest = { protocol: "ovt", rawQuery, via, trace: hearth?.trace };
    const withinMs = hearth ? hearthDeadlineMs : describeDeadlineMs;
    return { ...(await lookUpStream(hub, name, wanted, { clock, withinMs, needsMedia })), vhost };
  }

  #say(code: number, message: string, description?: OvtDescription): void {
    const { clock } = this.#host;
    const contents = description && serializeOvtDescription(description);
    this.#dialogue.answer(code, message, { nowMs: clock.nowMs(), wallMs: clock.wallMs() }, contents);
  }

  #startSession(hold: StreamHold, request: OriginRequest): void {
    const { maxQueueBytes, maxQueueAgeMs, sendsDataToOthers, stats } = this.#host;
    const isHearth = request.hearth !== undefined;
    const takesData = isHearth || sendsDataToOthers;
    const queue = new SendQueue({ maxBytes: maxQueueBytes, maxAgeMs: maxQueueAgeMs, takesData, isHearth });
    const outlet = this.#host.outletOf(hold);
    const tap: OutletTap = {
      onBatch: (batch) => {
        if (queue.isPassing(batch) && this.#connection.writableLength < maxSocketBytes) this.#write(batch.bytes);
        else {
          queue.push(batch, this.#host.clock.nowMs());
          this.#pump();
        }
      },
      onEnd: (reason) => this.#onStreamEnd(reason),
    };
    const { app, stream } = hold.stream.name;
    const fields = { app, stream, peer: request.hearth?.nodeId ?? "other", ...traceIn(request) };
    this.#session = {
      hold,
      fields,
      outlet,
      queue,
      tap,
      reportedDrops: 0,
      wantsPulse: request.hearth?.wantsPulse ?? false,
      pulseMs: -Infinity,
    };
    this.#host.onSession(this);
    stats.sessionsStarted++;
    stats.sessionsLive++;
    this.#log.info("ovt session began", fields);
    this.#connection.cork();
    outlet.attach(tap, request.hearth?.recentMs ?? 0);
    this.#connection.uncork();
    if (hold.stream.isClosed) this.#onStreamEnd({ code: "ended" });
  }

  #onStreamEnd(reason: CloseReason): void {
    this.#log.info("ovt session ends with its stream", { ...this.#session?.fields, reason: reason.code });
    this.end(this.#host.stallMs);
  }

  #flushAnswers(): void {
    for (let bytes = this.#dialogue.takeOutput(); bytes; bytes = this.#dialogue.takeOutput()) this.#write(bytes);
    if (this.#dialogue.mustEnd) this.#finish();
  }

  /** Hands the socket as much as it should hold. Never called with a part of a sample. */
  #pump(): void {
    const queue = this.#session?.queue;
    const limit = Math.max(maxSocketBytes, this.#connection.writableHighWaterMark);
    while (this.#connection.writableLength < limit) {
      const bytes = queue?.shift();
      if (!bytes) break;
      this.#write(bytes);
    }
    const isDone = !queue || queue.isEmpty;
    if (isDone && this.#endByMs !== undefined && !this.#connection.writableEnded) this.#connection.end();
  }

  #write(bytes: Uint8Array): void {
    if (this.#connection.destroyed || this.#connection.writableEnded) return;
    if (this.#connection.writableLength === 0) this.#lastProgressMs = this.#host.clock.nowMs();
    this.#host.stats.bytesSent += bytes.length;
    this.#connection.write(bytes);
  }

  /** Only in line with media: an edge that is behind hears nothing, which tells it as much. */
  #tellTime(nowMs: number): void {
    const session = this.#session;
    if (!session?.wantsPulse || this.#endByMs !== undefined || nowMs - session.pulseMs < pulseEveryMs) return;
    if (!session.queue.isEmpty || this.#connection.writableLength >= maxSocketBytes) return;
    session.pulseMs = nowMs;
    const wallMs = this.#host.clock.wallMs();
    const pulse = { id: 0, application: pulseApplication, code: ovtCode.ok, message: "ok" };
    this.#write(serializeOvtResponse({ ...pulse, contents: serializePulse(wallMs) }, wallMs));
  }

  #onDrain(): void {
    this.#lastProgressMs = this.#host.clock.nowMs();
    this.#connection.cork();
    this.#pump();
    this.#connection.uncork();
  }

  /** The peer needs nothing more: what waits is forgotten, what the socket holds is sent. */
  #finish(): void {
    this.#session?.queue.clear();
    this.#leave();
    this.end(this.#host.stallMs);
  }

  #abandon(code: string): void {
    this.#host.onFault(code, this.remote);
    // Strangers may come in thousands: they are counted, and only lost edges are worth a line.
    if (this.#session) this.#log.warn("ovt session dropped", { ...this.#session.fields, code });
    else this.#log.debug("ovt connection dropped", { code });
    this.#connection.destroy();
  }

  #leave(): void {
    const session = this.#session;
    if (!session) return;
    this.#countDrops();
    this.#session = undefined;
    this.#host.leaveOutlet(session.outlet, session.tap);
    session.hold.release();
    this.#host.stats.sessionsLive--;
    this.#log.info("ovt session ended", session.fields);
  }

  #countDrops(): void {
    const session = this.#session;
    if (!session || session.queue.dropped === session.reportedDrops) return;
    const dropped = session.queue.dropped - session.reportedDrops;
    session.reportedDrops = session.queue.dropped;
    this.#host.stats.samplesDropped += dropped;
    this.#log.warn("ovt edge is too slow", { ...session.fields, dropped, queuedBytes: session.queue.bytes });
  }
}

/** The id under which the edge's viewer asked, where the edge says one. */
const traceIn = ({ hearth }: OriginRequest): { readonly trace?: string } =>
  hearth?.trace === undefined ? {} : { trace: hearth.trace };

function noSuchStream(request: OriginRequest, found: { readonly vhost: string }): string {
  return `There is no such stream (${nameOf(request, found)})`;
}

/** As OvenMediaEngine names a stream to its peers. */
function nameOf({ url }: OriginRequest, { vhost }: { readonly vhost: string }): string {
  return `#${withoutHash(vhost)}#${withoutHash(url.app)}/${url.stream}`;
}
