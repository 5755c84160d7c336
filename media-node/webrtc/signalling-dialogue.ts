/** What a player's message asks for, once it is known to be in order. */
export type SignallingEvent =
  | { readonly kind: "offer-requested" }
  | { readonly kind: "answered"; readonly sdp: string }
  | {
      readonly kind: "rendition-wanted";
      readonly name: string | undefined;
      readonly isAuto: boolean | undefined;
    }
  | { readonly kind: "stopped" }
  /** To be told to the player, after which the connection ends. */
  | { readonly kind: "failed"; readonly code: number; readonly error: string }
  /** Nothing to do: candidates, which an ICE-lite server needs none of, or an answer to a ping. */
  | { readonly kind: "none" };

type Phase =
  { name: "idle" } | { name: "requested" } | { name: "offered"; id: number } | { name: "playing"; id: number };

const maxCandidates = 256;

/**
 * OvenMediaEngine's signalling dialogue as the server sees it, with no socket and no clock of its own: which command is
 * in order when. The shell makes the offers and owns the timers.
 */
export class SignallingDialogue {
  #phase: Phase = { name: "idle" };
  #formerId: number | undefined;

  get phase(): Phase["name"] {
    return this.#phase.name;
  }

  /** The id of the offer that is out or being played; undefined before. */
  get id(): number | undefined {
    return "id" in this.#phase ? this.#phase.id : undefined;
  }

  /** An offer was sent; the player's commands must carry this id from now on. */
  offered(id: number): void {
    this.#phase = { name: "offered", id };
  }

  /** The session ended on our side: the player may request another offer on the same socket. */
  ended(): void {
    this.#formerId = this.id;
    this.#phase = { name: "idle" };
  }

  /** Takes one text frame. */
  receive(text: string): SignallingEvent {
    const message = parseObject(text);
    if (!message) return failed("Could not parse the message");
    if (message.command === "request_offer") return this.#request();
    if (message.command === "pong") return { kind: "none" };
    // What was on its way when we ended the session is no mistake of the player's.
    if (this.#formerId !== undefined && message.id === this.#formerId) return { kind: "none" };
    if (this.id === undefined || message.id !== this.id) return failed("Invalid ID");
    switch (message.command) {
      case "answer":
        return this.#answer(message);
      case "candidate":
        return candidates(message.candidates);
      case "change_rendition":
        return this.#changeRendition(message);
      case "stop":
        this.#phase = { name: "idle" };
        return { kind: "stopped" };
      case "offer_p2p":
      case "candidate_p2p":
        return failed("Could not find peer id");
      default:
        return failed(`Unknown command: ${typeof message.command === "string" ? message.command.slice(0, 64) : ""}`);
    }
  }

  /** While one offer is being made, asking again changes nothing; later it replaces the session. */
  #request(): SignallingEvent {
    if (this.#phase.name === "requested") return { kind: "none" };
    this.#formerId = this.id;
    this.#phase = { name: "requested" };
    return { kind: "offer-requested" };
  }

  #answer({ sdp }: Readonly<Record<string, unknown>>): SignallingEvent {
    if (!isObject(sdp)) return failed("There is no SDP");
    if (sdp.type !== "answer") return failed("Invalid SDP type");
    if (typeof sdp.sdp !== "string") return failed("SDP must be a string");
    if (this.#phase.name !== "offered") return failed("There is an answer already");
    this.#phase = { name: "playing", id: this.#phase.id };
    return { kind: "answered", sdp: sdp.sdp };
  }

  #changeRendition({ rendition_name: name, auto }: Readonly<Record<string, unknown>>): SignallingEvent {
    if (this.#phase.name !== "playing") return { kind: "none" };
    return {
      kind: "rendition-wanted",
      name: typeof name === "string" ? name : undefined,
      isAuto: typeof auto === "boolean" ? auto : undefined,
    };
  }
}

function candidates(value: unknown): SignallingEvent {
  if (value === undefined) return failed("There is no candidate list");
  if (!Array.isArray(value) || value.length > maxCandidates) return failed("Candidates must be array");
  return value.every(isObject) ? { kind: "none" } : failed("Invalid candidate: not an object");
}

function failed(error: string): SignallingEvent {
  return { kind: "failed", code: 400, error };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
