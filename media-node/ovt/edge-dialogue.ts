import { ProtocolError } from "../flow/errors.ts";
import { ovtCode, parseOvtResponse, serializeOvtRequest, type OvtResponse } from "./ovt-message.ts";
import { parsePulse, pulseApplication } from "./hearth-extension.ts";
import { parseOvtMedia, type OvtMedia } from "./ovt-media.ts";
import { OvtReader } from "./ovt-reader.ts";
import type { WireJson } from "./wire-json.ts";

/** What the origin made true. Called synchronously while bytes are received. */
export interface EdgeEvents {
  /** Describe was answered; `contents` is untrusted. */
  onDescribed(contents: WireJson): void;
  /** Play was answered; media follows. */
  onPlaying(): void;
  onMedia(media: OvtMedia): void;
  /** The origin's wall clock, Unix ms, when it sent this; see `hearth-extension.ts`. */
  onPulse(wallMs: number): void;
  /** The origin said something while playing that nobody asked for. */
  onUnexpectedMessage(response: OvtResponse): void;
  /** Our stop was answered. */
  onStopped(): void;
}

/** An origin answered a request with anything but success. */
export class OvtRefusal extends ProtocolError {
  readonly status: number;

  constructor(response: OvtResponse) {
    super(response.code === ovtCode.notReady ? "OVT_NOT_READY" : "OVT_REFUSED", response.message.slice(0, 200));
    this.status = response.code;
  }
}

export interface EdgeDialogueOptions {
  /** The complete URL, sent verbatim with every request. */
  readonly target: string;
  /** What Hearth adds to every request. */
  readonly extension?: WireJson;
  /** Default 16 MiB. */
  readonly maxMediaBytes?: number;
}

type Phase = "new" | "describing" | "described" | "starting" | "playing" | "stopping" | "over";

const maxMessageBytes = 1024 * 1024;
const defaultMaxMediaBytes = 16 * 1024 * 1024;
/** An origin that answers slowly may be pulling the stream itself: wait longer than it does. */
const answerTimeoutMs = 5_000;
const stopTimeoutMs = 500;
const maxUnexpectedMessages = 32;

/**
 * The edge's side of one connection, with no socket and no clock of its own: describe, play, media, stop. One stream, one
 * request at a time. A throw from `receive` or `timeout` ends the connection.
 */
export class OvtEdgeDialogue {
  readonly #options: EdgeDialogueOptions;
  readonly #events: EdgeEvents;
  readonly #reader: OvtReader;
  #phase: Phase = "new";
  #requestId = 0;
  #deadlineMs: number | undefined;
  #output: Uint8Array[] = [];
  #unexpected = 0;

  constructor(options: EdgeDialogueOptions, events: EdgeEvents) {
    this.#options = options;
    this.#events = events;
    this.#reader = new OvtReader(
      { role: "edge", maxMessageBytes, maxMediaBytes: options.maxMediaBytes ?? defaultMaxMediaBytes },
      {
        onMessage: (body) => this.#onResponse(parseOvtResponse(body)),
        onMedia: (body) => this.#onMedia(body),
      },
    );
  }

  get phase(): Phase {
    return this.#phase;
  }

  describe(nowMs: number, wallMs: number): void {
    this.#expectPhase("new");
    this.#phase = "describing";
    this.#request("describe", nowMs + answerTimeoutMs, wallMs);
  }

  play(nowMs: number, wallMs: number): void {
    this.#expectPhase("described");
    this.#phase = "starting";
    this.#request("play", nowMs + answerTimeoutMs, wallMs);
  }

  /** Says goodbye; media that still arrives is ignored. */
  stop(nowMs: number, wallMs: number): void {
    if (this.#phase !== "playing" && this.#phase !== "starting") {
      this.#phase = "over";
      return;
    }
    this.#phase = "stopping";
    this.#request("stop", nowMs + stopTimeoutMs, wallMs);
  }

  /** @throws {OvtRefusal} when a request was not granted @throws {ProtocolError} when the origin broke the protocol */
  receive(bytes: Uint8Array): void {
    if (this.#phase !== "over") this.#reader.push(bytes);
  }

  /** When {@link timeout} is due; undefined while nothing is awaited. */
  get nextTimeoutMs(): number | undefined {
    return this.#deadlineMs;
  }

  /** @throws {ProtocolError} when an answer is overdue; a stop that nobody answers just ends */
  timeout(nowMs: number): void {
    if (this.#deadlineMs === undefined || nowMs < this.#deadlineMs) return;
    this.#deadlineMs = undefined;
    if (this.#phase !== "stopping") throw new ProtocolError("OVT_ANSWER_TIMEOUT", "the origin did not answer in time");
    this.#phase = "over";
    this.#events.onStopped();
  }

  /** Bytes to send, oldest first, each to be written at once. */
  takeOutput(): Uint8Array | undefined {
    return this.#output.shift();
  }

  #expectPhase(phase: Phase): void {
    if (this.#phase !== phase) throw new Error(`an edge that is ${this.#phase} cannot do this`);
  }

  #request(application: string, deadlineMs: number, wallMs: number): void {
    const { target, extension } = this.#options;
    this.#deadlineMs = deadlineMs;
    const request = { id: ++this.#requestId, application, target, ...(extension !== undefined && { extension }) };
    this.#output.push(serializeOvtRequest(request, wallMs));
  }

  #onMedia(body: Uint8Array): void {
    if (this.#phase === "playing") this.#events.onMedia(parseOvtMedia(body));
    else if (this.#phase === "stopping") parseOvtMedia(body);
    else throw new ProtocolError("OVT_EARLY_MEDIA", "media came before play was answered");
  }

  #onResponse(response: OvtResponse): void {
    if (this.#phase === "playing" && response.application === pulseApplication) {
      const wallMs = parsePulse(response.contents);
      return wallMs === undefined ? undefined : this.#events.onPulse(wallMs);
    }
    const awaited = { describing: "describe", starting: "play", stopping: "stop" }[this.#phase as string];
    if (awaited === undefined) return this.#onUnexpected(response);
    if (response.code !== ovtCode.ok && this.#phase !== "stopping") throw new OvtRefusal(response);
    if (response.application.toLowerCase() !== awaited || response.id !== this.#requestId) {
      if (this.#phase === "stopping") return;
      throw new ProtocolError("OVT_WRONG_ANSWER", "the origin answered another request than the one asked");
    }
    this.#deadlineMs = undefined;
    if (this.#phase === "stopping") {
      this.#phase = "over";
      return this.#events.onStopped();
    }
    if (this.#phase === "starting") {
      this.#phase = "playing";
      return this.#events.onPlaying();
    }
    if (response.contents === undefined) throw new ProtocolError("OVT_DESCRIPTION", "the answer holds no description");
    this.#phase = "described";
    this.#events.onDescribed(response.contents);
  }

  #onUnexpected(response: OvtResponse): void {
    if (response.application.toLowerCase() === "stop" || ++this.#unexpected > maxUnexpectedMessages) {
      throw new ProtocolError("OVT_STOPPED", "the origin ended the stream");
    }
    this.#events.onUnexpectedMessage(response);
  }
}
