import { Socket } from "node:net";

/** What is done with connections past their sockets' streams. */
export interface DirectSockets {
  /**
   * Hands bytes of an answer to the system at once.
   * @param fd of a TCP connection that is open now: from {@link openFdOf}, asked for in the same turn
   * @returns how many bytes of `start` and `body`, one behind the other, were taken; 0 where the system takes none now, or the
   *   connection failed: the stream finds out which. Both are free again.
   */
  send(fd: number, start: Uint8Array, body: Uint8Array | undefined): number;
  /** @returns another descriptor of the same connection, the caller's to close; undefined when none is to be had */
  duplicate(fd: number): number | undefined;
  /** Closes what {@link duplicate} gave. */
  close(fd: number): void;
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

/** Where the bytes of {@link readLent} lie until the call that tells of them returns; one for all connections of a thread. */
export type LentMemory = Buffer<ArrayBuffer>;

export const newLentMemory = (): LentMemory => Buffer.allocUnsafeSlow(64 * 1024);

/**
 * A socket in place of one that was accepted in this turn, and of which nothing was read: what it receives is lent to
 * `onBytes`, instead of being an object of its own behind a stream. Node has this for sockets that it is told to make only
 * (`onread`), so this one is made on a second descriptor of the connection, and the first is closed. It ends, fails and closes
 * by the events of any socket, and emits no `data` but what `push` puts into it.
 * @param onBytes is told how many bytes came, at the beginning of `memory`; @returns false when it wants no more until `resume`
 * @returns undefined when that cannot be had: then `accepted` is as it was
 */
export function readLent(
  accepted: Socket,
  direct: DirectSockets,
  memory: LentMemory,
  onBytes: (memory: LentMemory, size: number) => boolean,
): Socket | undefined {
  const known = openFdOf(accepted);
  const fd = known === undefined ? undefined : direct.duplicate(known);
  if (fd === undefined) return undefined;
  try {
    const callback = (size: number): boolean => onBytes(memory, size);
    const socket = new Socket({ fd, allowHalfOpen: true, onread: { buffer: memory, callback } });
    accepted.destroy();
    return socket;
  } catch {
    direct.close(fd);
    return undefined;
  }
}
