import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { StreamName } from "./stream-name.ts";

/** A viewer's request after the door has split its path: `/{app}/{stream}/{file}?{rawQuery}`, nothing decoded. */
export interface ViewerTarget extends StreamName {
  /** Third path segment, `""` when there is none. */
  readonly file: string;
  /** As it came, without `?`. */
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** `http://host:port` as the viewer addressed this node: the base for absolute URLs in answers. */
  readonly baseUrl: string;
  /** The viewer's address, for limits and logs: the socket's peer, or whom a trusted proxy speaks for. */
  readonly remoteAddress: string;
  /** Of the socket, where it is known; the proxy's behind one. */
  readonly peer?: { readonly address: string; readonly port: number };
  /** `""` when the client sent none. */
  readonly userAgent?: string;
  /** The request's trace id, for logs: the router's, else the client's, else one made here. 32 hexadecimal digits. */
  readonly trace?: string | undefined;
}

/** A viewer who may watch, and for how long. */
export interface Admitted {
  readonly isAdmitted: true;
  /** Unix ms at which the session has to end, whatever happens in it. */
  readonly endsAtMs?: number;
  /** What the viewer gets in place of what was asked for: a control server said so. */
  readonly target?: ViewerTarget;
  /** To be called when the session has ended or never came to be; may be called twice. */
  readonly onEnd?: () => void;
}

export interface Refused {
  readonly isAdmitted: false;
  readonly status: 401 | 403;
  readonly reason: string;
}

/**
 * Whether a viewer may begin to watch: tickets and policies, decided in one place at the door.
 * @param authorization the header of that name, where the protocol has one (WHEP)
 */
export type AdmitViewer = (
  target: ViewerTarget,
  protocol: "webrtc" | "whep" | "llhls",
  authorization?: string,
) => Promise<Admitted | Refused>;

/** What follows the head of an answer: bytes that are there, or bytes that come, which are asked for as the client takes them. */
export type AnswerBody = readonly Uint8Array[] | AsyncIterable<Uint8Array>;

/**
 * A request without a body and its whole answer, the same over HTTP/1.1 and HTTP/2: what media is asked for by. The door
 * keeps connections, framing, `Date` and pipelining to itself.
 */
export interface PlainExchange {
  readonly method: string;
  /** @param name in lower case */
  header(name: string): string | undefined;
  /** True once it was answered or its client is gone: {@link send} does nothing any more. */
  readonly isOver: boolean;
  /**
   * Answers. To a HEAD nothing of `body` is sent.
   * @param headers names and values in turn, `Content-Length` among them. Kept and looked up by identity: hand in the
   *   same array for the same headers, and never change one
   * @param body one that comes is not begun where nothing of it is sent; when it fails, the connection or stream breaks
   */
  send(status: number, headers: readonly string[], body?: AnswerBody): void;
  /** Calls `listener` when the client goes before it was answered. */
  onGone(listener: () => void): void;
}

/** What a delivery protocol offers to the node's HTTP server. Mounted at the roof, `media-node/deliveries.ts`. */
export interface HttpGuest {
  /** True when the request is this guest's, which then answers it; asked before {@link handle}, also for other methods. */
  serve?(exchange: PlainExchange, target: ViewerTarget): boolean;
  /** The same for requests that may have a body; false passes it to the next guest. */
  handle?(request: IncomingMessage, response: ServerResponse, target: ViewerTarget): boolean;
  /** The same for a WebSocket upgrade. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer, target: ViewerTarget): boolean;
}
