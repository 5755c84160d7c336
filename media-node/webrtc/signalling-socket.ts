import type { WebSocket } from "ws";
import type { Admitted, ViewerTarget } from "../core/guest.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf, ProtocolError } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import { parseRemoteDescription } from "../sdp/remote-description.ts";
import { atWallTime, type Clock, type Timer } from "../time/clock.ts";
import { sleep } from "../time/sleep.ts";
import { acceptAnswer, candidatesFor, createOffer, type LocalOffer } from "./negotiation.ts";
import { randomUint32 } from "./random.ts";
import { switchableRenditions, type PlayablePlaylist, type PlayableRendition } from "./renditions.ts";
import type { DoorOptions, SessionTable } from "./session-table.ts";
import { SignallingDialogue, type SignallingEvent } from "./signalling-dialogue.ts";
import {
  failureMessage,
  offerMessage,
  playlistMessage,
  renditionChangedMessage,
  stopMessage,
} from "./signalling-messages.ts";
import { passGate } from "./stream-gate.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { ViewerPlace } from "./viewer-place.ts";

/** What a socket is closed with (RFC 6455 §7.4); players ignore it, operators and proxies do not. */
const closeCodes = { done: 1000, policy: 1008, internal: 1011, restart: 1012, tryLater: 1013, notFound: 4404 } as const;

const firstMessageMs = 10_000;
const answerMs = 15_000;
const pingMs = 20_000;
const silenceMs = 60_000;
/** More than this is no player. */
const maxMessagesAtOnce = 200;
const maxMessagesPerSecond = 5;
const roomMs = 250;
/** A socket that does not take our few messages is not being read. */
const maxBufferedBytes = 1024 * 1024;

/** Ends after which the same stream can be offered again. */
const restartable: readonly string[] = ["tracks-changed", "worker-failed"];

/** Who asks for one of these may go by a relay. */
const relaying: ReadonlySet<string> = new Set(["tcp", "all"]);

/** A session that was offered on this socket. */
interface Offered {
  readonly session: ViewerPlace;
  /** Until it is answered. */
  offer: LocalOffer | undefined;
  readonly playlist: PlayablePlaylist;
  renditions: readonly PlayableRendition[];
  current: PlayableRendition | undefined;
  isAuto: boolean;
}

/**
 * One player's signalling socket: owns the socket, its timers and at most one session at a time. Closing it ends the
 * session, since players say goodbye no other way.
 */
export class SignallingSocket {
  readonly #socket: WebSocket;
  readonly #target: ViewerTarget;
  readonly #options: DoorOptions;
  readonly #table: SessionTable;
  readonly #log: Logger;
  readonly #dialogue = new SignallingDialogue();
  /** While an offer waits for its stream. */
  #asking: AbortController | undefined;
  readonly #onClosed: () => void;
  readonly #clock: Clock;
  #offered: Offered | undefined;
  #deadline: Timer | undefined;
  readonly #expiry: Timer | undefined;
  #ping: Timer;
  #heardMs: number;
  readonly #messages: TokenBucket;

  constructor(
    socket: WebSocket,
    asked: ViewerTarget,
    { target = asked, endsAtMs }: Admitted,
    table: SessionTable,
    options: DoorOptions,
    onClosed: () => void,
  ) {
    this.#onClosed = onClosed;
    this.#socket = socket;
    this.#target = target;
    this.#options = options;
    this.#table = table;
    this.#clock = options.clock;
    const { app, stream, remoteAddress: viewer, trace } = target;
    this.#log = options.logger.with({ app, stream, viewer, trace });
    this.#heardMs = this.#clock.nowMs();
    this.#messages = new TokenBucket(maxMessagesAtOnce, this.#heardMs);
    this.#deadline = this.#clock.after(firstMessageMs, () => this.#socket.close(closeCodes.policy, "no request"));
    this.#ping = this.#clock.after(pingMs, () => this.#onPing());
    this.#expiry = endsAtMs === undefined ? undefined : atWallTime(this.#clock, endsAtMs, () => this.#expire());
    socket.on("message", (data, isBinary) => this.#onMessage(data, isBinary));
    socket.on("pong", () => void (this.#heardMs = this.#clock.nowMs()));
    socket.on("error", (error) => this.#log.debug("signalling socket failed", { error: messageOf(error) }));
    socket.on("close", () => this.#onClose());
  }

  /** Makes the player ask for a new offer, on the same socket; without a session the socket is closed. */
  stop(reason: CloseReason): void {
    const id = this.#dialogue.id;
    if (id === undefined) return this.close(reason);
    this.#send(stopMessage(id));
    this.#dialogue.ended();
    this.#endSession(reason);
  }

  close(reason: CloseReason): void {
    this.#endSession(reason);
    this.#socket.close(closeCodes.restart, reason.code);
  }

  /** The viewer's policy or the control server said when; a new session needs a new URL. */
  #expire(): void {
    this.#send(failureMessage(401, "The time to watch is over"));
    this.#endSession({ code: "expired", message: "the viewer's policy ended" });
    this.#socket.close(closeCodes.policy, "session expired");
  }

  #onMessage(data: unknown, isBinary: boolean): void {
    const nowMs = this.#clock.nowMs();
    this.#heardMs = nowMs;
    // Players send about thirty messages, all at the start.
    if (this.#messages.available(maxMessagesPerSecond * 8, maxMessagesAtOnce, nowMs) <= 0) {
      return this.#fail(400, "Too many messages", closeCodes.policy);
    }
    this.#messages.spend(1);
    if (isBinary || !Buffer.isBuffer(data)) return this.#fail(400, "Messages must be text", closeCodes.policy);
    try {
      this.#act(this.#dialogue.receive(data.toString("utf8")));
    } catch (thrown) {
      if (thrown instanceof ProtocolError) return this.#fail(400, "Could not parse SDP", closeCodes.policy);
      this.#log.error("signalling failed", { error: messageOf(thrown) });
      this.#fail(500, "Internal error", closeCodes.internal);
    }
  }

  #act(event: SignallingEvent): void {
    switch (event.kind) {
      case "offer-requested":
        this.#endSession({ code: "replaced" });
        this.#cancelDeadline();
        this.#makeOffer().catch((thrown: unknown) => {
          this.#log.error("offer failed", { error: messageOf(thrown) });
          this.#fail(500, "Internal error", closeCodes.internal);
        });
        break;
      case "answered":
        this.#onAnswer(event.sdp);
        break;
      case "rendition-wanted":
        this.#onRenditionWanted(event.name, event.isAuto);
        break;
      case "stopped":
        this.#endSession({ code: "stopped" });
        this.#socket.close(closeCodes.done);
        break;
      case "failed":
        this.#fail(event.code, event.error, closeCodes.policy);
        break;
      case "none":
        break;
    }
  }

  async #makeOffer(): Promise<void> {
    // A proxy in front sees the code and asks another node; an error would be shown to the viewer.
    if (this.#table.refusal === "draining") return this.#socket.close(closeCodes.restart, "drain");
    if (this.#table.refusal) return this.#fail(503, "This node takes no new viewers", closeCodes.tryLater);
    const { file, rawQuery, query, remoteAddress: client, trace } = this.#target;
    const prepared = this.#table.prepare();
    const { signal } = (this.#asking = new AbortController());
    const gate = await passGate(
      this.#target,
      { protocol: "webrtc", rawQuery, client, trace },
      { ...this.#options, holdMs: this.#options.config.holdMs },
      signal,
    );
    await prepared;
    if (signal.aborted) {
      if (gate.kind === "open") gate.hold.release();
      return;
    }
    if (gate.kind !== "open") {
      this.#log.info("no offer", { reason: gate.reason });
      const closeCode = gate.kind === "not-found" ? closeCodes.notFound : closeCodes.tryLater;
      return this.#fail(404, "Cannot create offer", closeCode);
    }
    const playlist = this.#table.playlistOf(gate.hold.stream, file);
    if ("refusal" in playlist) {
      gate.hold.release();
      return this.#fail(404, `Cannot create offer: ${playlist.refusal}`, closeCodes.notFound);
    }
    const hasTurn = await this.#turn(signal);
    this.#asking = undefined;
    if (signal.aborted) return gate.hold.release();
    if (!hasTurn || this.#table.refusal || !this.#table.hasPlace || gate.hold.stream.isClosed) {
      gate.hold.release();
      return this.#fail(503, "This node takes no new viewers", closeCodes.tryLater);
    }
    const session = this.#table.open(gate.hold, this.#log, this.#target.remoteAddress, (reason) =>
      this.#onSessionEnd(session, reason),
    );
    try {
      this.#offer(session, playlist, query.get("transport"));
    } catch (thrown) {
      session.close({ code: "internal", message: messageOf(thrown) });
      throw thrown;
    }
  }

  /** Players take a refusal as final: where a crowd is too large to wait in, they wait for room, as long as for a stream. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    const { joins, config } = this.#options;
    const deadlineMs = this.#clock.nowMs() + config.holdMs;
    while (!(await joins.turn(this.#target.remoteAddress, signal))) {
      if (signal.aborted || this.#clock.nowMs() >= deadlineMs) return false;
      await sleep(this.#clock, roomMs, signal);
    }
    return true;
  }

  #offer(session: ViewerPlace, playlist: PlayablePlaylist, transport: string | null): void {
    const { random, config } = this.#options;
    const { port } = session;
    const offer = createOffer(session.peer, playlist, { port, random, config });
    this.#offered = { session, offer, playlist, renditions: [], current: undefined, isAuto: playlist.isAuto };
    const id = randomUint32(random) >>> 1 || 1;
    this.#dialogue.offered(id);
    this.#deadline = this.#clock.after(answerMs, () => this.#socket.close(closeCodes.policy, "no answer"));
    const iceServers = relaying.has(transport?.toLowerCase() ?? "") ? config.iceServers : [];
    this.#send(offerMessage(id, offer, candidatesFor(port, transport, iceServers.length > 0), iceServers));
  }

  #onAnswer(sdp: string): void {
    const offered = this.#offered;
    if (!offered?.offer) return;
    this.#cancelDeadline();
    const answer = parseRemoteDescription(sdp);
    const negotiated = this.#negotiate(offered.offer, answer);
    offered.offer = undefined;
    if (!negotiated) return this.#fail(403, "Forbidden", closeCodes.policy);
    const codecOf = (kind: string) => negotiated.formats.find((format) => format.kind === kind)?.codec;
    offered.renditions = switchableRenditions(offered.playlist, { video: codecOf("video"), audio: codecOf("audio") });
    offered.current = offered.renditions[0];
    if (!offered.current) return this.#fail(403, "Forbidden", closeCodes.policy);
    offered.session.accept(negotiated, answer, offered.current);
    this.#send(playlistMessage(offered.playlist, offered.renditions, offered.isAuto));
    this.#send(renditionChangedMessage(offered.current.name, offered.isAuto));
    this.#adapt(offered);
  }

  /** Lets the session choose among renditions while the player leaves it to us. */
  #adapt(offered: Offered): void {
    offered.session.chooseAmong(offered.isAuto ? offered.renditions : [], (rendition) => {
      offered.current = rendition;
      this.#send(renditionChangedMessage(rendition.name, offered.isAuto));
    });
  }

  #negotiate(offer: LocalOffer, answer: ReturnType<typeof parseRemoteDescription>) {
    try {
      return acceptAnswer(offer, answer, this.#options.config);
    } catch (thrown) {
      this.#log.info("answer refused", { error: messageOf(thrown) });
      return undefined;
    }
  }

  #onRenditionWanted(name: string | undefined, isAuto: boolean | undefined): void {
    const offered = this.#offered;
    if (!offered?.current) return;
    if (isAuto !== undefined) {
      offered.isAuto = isAuto;
      this.#send(renditionChangedMessage(offered.current.name, isAuto));
      this.#adapt(offered);
    }
    if (name === undefined) return;
    const rendition = offered.renditions.find((other) => other.name === name);
    if (!rendition) return this.#fail(403, "Forbidden", closeCodes.policy);
    // Choosing by hand ends automatic switching, as players' menus show it.
    if (isAuto === undefined && offered.isAuto) {
      offered.isAuto = false;
      this.#adapt(offered);
    }
    offered.session.switchTo(rendition, () => {
      offered.current = rendition;
      this.#send(renditionChangedMessage(rendition.name, offered.isAuto));
    });
  }

  /** The transport or the stream ended; a player that can start again is told to, on this socket. */
  #onSessionEnd(session: ViewerPlace, reason: CloseReason): void {
    if (this.#offered?.session !== session) return;
    this.#offered = undefined;
    this.#cancelDeadline();
    const id = this.#dialogue.id;
    this.#dialogue.ended();
    const canRestart = restartable.includes(reason.code) && id !== undefined;
    if (canRestart) this.#send(stopMessage(id));
    else this.#socket.close(reason.code === "stream-ended" ? closeCodes.tryLater : closeCodes.done, reason.code);
  }

  /** Ends the session from our side of the socket, which stays open. */
  #endSession(reason: CloseReason): void {
    const offered = this.#offered;
    this.#offered = undefined;
    this.#cancelDeadline();
    offered?.session.close(reason);
  }

  #fail(code: number, error: string, closeCode: number): void {
    this.#send(failureMessage(code, error));
    this.#endSession({ code: "refused", message: error });
    this.#socket.close(closeCode, error.slice(0, 100));
  }

  #send(text: string): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > maxBufferedBytes) return this.#socket.terminate();
    this.#socket.send(text);
  }

  #onPing(): void {
    if (this.#clock.nowMs() - this.#heardMs > silenceMs) return this.#socket.terminate();
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping("hearth");
    this.#ping = this.#clock.after(pingMs, () => this.#onPing());
  }

  #onClose(): void {
    this.#asking?.abort();
    this.#ping.cancel();
    this.#expiry?.cancel();
    this.#endSession({ code: "socket-closed" });
    this.#onClosed();
  }

  #cancelDeadline(): void {
    this.#deadline?.cancel();
    this.#deadline = undefined;
  }
}
