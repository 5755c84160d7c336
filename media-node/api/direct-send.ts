import type { Socket } from "node:net";

/** Hands bytes of an answer to the system at once, past a socket's stream. */
export interface DirectSend {
  /**
   * @param fd of a TCP connection that is open now: from {@link openFdOf}, asked for in the same turn
   * @returns how many bytes of `start` and `body`, one behind the other, were taken; 0 where the system takes none now, or the
   *   connection failed: the stream finds out which. Both are free again.
   */
  send(fd: number, start: Uint8Array, body: Uint8Array | undefined): number;
}

/**
 * The descriptor of a connection to which bytes may go now: everything before them was taken, and nothing ended it. Node sets
 * the handle to null in the call that closes it, so this is never a descriptor that somebody else has by now; it is not to be
 * kept. Not for TLS sockets, whose handle names the descriptor below them.
 * @returns undefined when the stream has to see to it
 */
export function openFdOf(socket: Socket): number | undefined {
  if (!socket.writable || socket.writableLength > 0) return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Node's types leave out the handle
  const fd = (socket as Socket & { readonly _handle?: { readonly fd?: number } | null })._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}
