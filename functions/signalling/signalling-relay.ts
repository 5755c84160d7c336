/** As much of a WebSocket as the relay needs; the runtime's own sockets fit. */
export interface SignallingSocket {
  send(text: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { code: number; reason: string }) => void): void;
}

export interface RelayOptions {
  /** An open socket to the next node; `undefined` while there is none. Never rejects. */
  readonly dial: () => Promise<SignallingSocket | undefined>;
  readonly wait: (ms: number) => Promise<void>;
  /** Milliseconds on any clock. */
  readonly nowMs: () => number;
  /** What the player is sent when a node takes over, if anything. */
  readonly greeting?: () => string | undefined;
}

/** Closed with these a node gave up: it restarts, has no room, failed, or vanished (RFC 6455 §7.4.1). */
const lostCodes = new Set([1001, 1005, 1006, 1011, 1012, 1013]);
/** While there is no other node; after the last the player is told to try later. */
const retryDelaysMs = [0, 250, 500, 1_000, 2_000, 2_000, 2_000, 2_000];
/** A node that stays shorter does not begin the count of losses anew. */
const steadyMs = 10_000;
const maxLosses = 8;
const maxMessageLength = 64 * 1024;

/**
 * One player's signalling, relayed to one node after another (OvenMediaEngine's protocol). When a node goes, the player is
 * told to `stop`: it drops its connection and requests an offer on the same socket, which the next node answers. Media is
 * not touched: it goes from node to player directly.
 */
export class SignallingRelay {
  readonly #player: SignallingSocket;
  readonly #options: RelayOptions;
  #node: SignallingSocket | undefined;
  #nodeSinceMs = 0;
  #losses = 0;
  /** Of the offer the player holds. */
  #offerId: number | undefined;
  /** The player's request for an offer, until one arrives. */
  #request: string | undefined;
  /** A node says why it fails just before it closes; only the close tells whether another may do better. */
  #heldError: string | undefined;
  #isOver = false;

  constructor(player: SignallingSocket, options: RelayOptions) {
    this.#player = player;
    this.#options = options;
    player.addEventListener("message", ({ data }) => this.#fromPlayer(data));
    player.addEventListener("close", ({ code }) => this.#end(code));
  }

  /** Begins with the node that was chosen first. */
  start(node: SignallingSocket): void {
    this.#attach(node);
  }

  #attach(node: SignallingSocket): void {
    this.#node = node;
    this.#nodeSinceMs = this.#options.nowMs();
    const greeting = this.#options.greeting?.();
    if (greeting !== undefined) this.#toPlayer(greeting);
    node.addEventListener("message", ({ data }) => {
      if (node === this.#node) this.#fromNode(data);
    });
    node.addEventListener("close", ({ code, reason }) => {
      if (node === this.#node) this.#lost(code, reason);
    });
  }

  #fromPlayer(data: unknown): void {
    const message = parseMessage(data);
    if (!message) return this.#end(1008, "not a signalling message");
    const { text, command, id } = message;
    if (command === "request_offer") {
      this.#request = text;
      this.#offerId = undefined;
      this.#toNode(text);
    } else if (id === undefined || id === this.#offerId) {
      this.#toNode(text);
    }
    // Anything else is meant for a node that is gone; the next one would take it for a mistake and close.
  }

  #fromNode(data: unknown): void {
    const message = parseMessage(data);
    if (!message) return this.#lost(1011, "not a signalling message");
    const { text, command, id, isError } = message;
    if (isError) {
      this.#heldError = text;
      return;
    }
    if (command === "offer") {
      this.#request = undefined;
      this.#offerId = id;
    }
    this.#toPlayer(text);
  }

  #lost(code: number, reason: string): void {
    const error = this.#heldError;
    this.#heldError = undefined;
    this.#node?.close();
    this.#node = undefined;
    if (lostCodes.has(code)) {
      void this.#moveOn();
      return;
    }
    if (error !== undefined) this.#toPlayer(error);
    this.#end(code, reason);
  }

  async #moveOn(): Promise<void> {
    const { dial, wait, nowMs } = this.#options;
    this.#losses = nowMs() - this.#nodeSinceMs >= steadyMs ? 1 : this.#losses + 1;
    for (const delayMs of this.#losses <= maxLosses ? retryDelaysMs : []) {
      if (delayMs > 0) await wait(delayMs);
      if (this.#isOver) return;
      const node = await dial();
      if (!node) continue;
      if (this.#isOver) return node.close(1000);
      this.#attach(node);
      return this.#takeUp();
    }
    this.#toPlayer(JSON.stringify({ code: 503, error: "No node can take this viewer now" }));
    this.#end(1013, "no node");
  }

  /** The new node knows nothing: either the player's request is still to be answered, or the player has to make one. */
  #takeUp(): void {
    if (this.#request !== undefined) this.#toNode(this.#request);
    else if (this.#offerId !== undefined)
      this.#toPlayer(JSON.stringify({ command: "stop", id: this.#offerId, peer_id: 0 }));
    this.#offerId = undefined;
  }

  #toNode(text: string): void {
    this.#node?.send(text);
  }

  #toPlayer(text: string): void {
    if (!this.#isOver) this.#player.send(text);
  }

  #end(code: number, reason = ""): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // 1005 and 1006 are for reading only: a socket cannot be closed with them.
    const sendable = code === 1005 || code === 1006 ? 1000 : code;
    this.#player.close(sendable, reason);
    this.#node?.close(1000);
    this.#node = undefined;
  }
}

interface ReadMessage {
  readonly text: string;
  readonly command: unknown;
  readonly id: number | undefined;
  readonly isError: boolean;
}

/** What the relay needs to know of a message; the text passes on as it came. */
function parseMessage(data: unknown): ReadMessage | undefined {
  if (typeof data !== "string" || data.length > maxMessageLength) return undefined;
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const fields = new Map<string, unknown>(Object.entries(value));
    const id = fields.get("id");
    const command = fields.get("command");
    return {
      text: data,
      command,
      id: typeof id === "number" ? id : undefined,
      isError: command === undefined && typeof fields.get("error") === "string",
    };
  } catch {
    return undefined;
  }
}
