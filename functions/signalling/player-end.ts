import type { SignallingSocket } from "./signalling-relay.ts";

/** A player's socket that the platform holds: what is written on it outlives the object's memory. */
export interface PlayerSocket {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  /** @throws when the value is too long: 2 KiB */
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
}

/** What a router has to know to send this player on. */
export interface KeptPlayer {
  /** As the player asked for it. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Where the player is, as the edge network told it. */
  readonly place: Readonly<Record<string, unknown>>;
  /** Of the offer the player holds. */
  readonly offerId?: number | undefined;
}

type OnMessage = (event: { data: unknown }) => void;
type OnClose = (event: { code: number; reason: string }) => void;

/** The player's end of a relay. Its messages are handed in; the offer that the player holds is written on its socket. */
export class PlayerEnd implements SignallingSocket {
  readonly #socket: PlayerSocket;
  #kept: KeptPlayer;
  #onMessage: OnMessage = () => {};
  #onClose: OnClose = () => {};

  constructor(socket: PlayerSocket, kept: KeptPlayer) {
    this.#socket = socket;
    this.#kept = kept;
    this.#write();
  }

  /** What {@link PlayerEnd} wrote on a socket; `undefined` when it found no room there. */
  static keptOn(socket: PlayerSocket): KeptPlayer | undefined {
    const kept: unknown = socket.deserializeAttachment();
    // Nobody but this class writes there.
    return typeof kept === "object" && kept !== null && "url" in kept ? (kept as KeptPlayer) : undefined;
  }

  send(text: string): void {
    const message = readMessage(text);
    if (message?.command === "offer" && typeof message.id === "number") {
      this.#kept = { ...this.#kept, offerId: message.id };
      this.#write();
    }
    this.#socket.send(text);
  }

  close(code?: number, reason?: string): void {
    this.#socket.close(code, reason);
  }

  addEventListener(type: "message" | "close", listener: (event: never) => void): void {
    if (type === "message") this.#onMessage = listener as OnMessage;
    else this.#onClose = listener as OnClose;
  }

  receive(data: unknown): void {
    this.#onMessage({ data });
  }

  end(code: number, reason: string): void {
    this.#onClose({ code, reason });
  }

  /**
   * Goes on with a player whose node's socket is lost, when its first message has come: what it says to that node is void. It
   * is told to stop, upon which it requests an offer, unless it does so just now.
   */
  takeUp(data: unknown): void {
    if (typeof data === "string" && readMessage(data)?.command === "request_offer") this.receive(data);
    else if (this.#kept.offerId !== undefined)
      this.#socket.send(JSON.stringify({ command: "stop", id: this.#kept.offerId, peer_id: 0 }));
  }

  #write(): void {
    try {
      this.#socket.serializeAttachment(this.#kept);
    } catch {
      // Longer than a socket holds, by a very long query: this player then lives as long as the object's memory.
      this.#socket.serializeAttachment(null);
    }
  }
}

function readMessage(text: string): { readonly command?: unknown; readonly id?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
