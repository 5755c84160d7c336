import type { NativeLibrary, Sockets } from "./library.ts";
import type { NativeSlab } from "./slab.ts";

// Linux, 64 bit: constants and structures of <sys/socket.h>.
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const F_DUPFD_CLOEXEC = 1030;

// Layout of the slab: a msghdr (56), two iovecs (16 each).
const iovecsAt = 64;
const slabBytes = 128;

/** Stream sockets that others own, without their stream. */
export class DirectTcp {
  readonly #sockets: Sockets;
  readonly #sendmsg: Sockets["sendmsg"];
  readonly #addressOf: (buffer: ArrayBufferLike) => number;
  readonly #message: NativeSlab;
  /** A buffer's memory does not move; many pieces share one, and one piece goes to many. */
  readonly #addresses = new WeakMap<ArrayBufferLike, number>();
  /** What the iovecs point to: a crowd gets the same, one after the other. Mentioned here, so that it stays in memory. */
  #start: Uint8Array | undefined;
  #body: Uint8Array | undefined;

  constructor(library: NativeLibrary, sockets: Sockets) {
    this.#sockets = sockets;
    this.#sendmsg = sockets.sendmsg;
    this.#addressOf = library.addressOf;
    this.#message = library.newSlab(slabBytes);
    this.#message.setPointer(16, this.#message.address + iovecsAt);
  }

  /**
   * One system call for one or two pieces, and no object.
   * @param fd non-blocking or not: never waits
   * @returns bytes taken; 0 also where the connection failed
   */
  send(fd: number, start: Uint8Array, body: Uint8Array | undefined): number {
    if (start !== this.#start || body !== this.#body) this.#point(start, body);
    const sent = this.#sendmsg(fd, this.#message.address, MSG_DONTWAIT + MSG_NOSIGNAL);
    return sent > 0 ? sent : 0;
  }

  /** @returns a second descriptor of the same socket, closed in programs that this one starts; undefined when none is left */
  duplicate(fd: number): number | undefined {
    const second = this.#sockets.fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return second >= 0 ? second : undefined;
  }

  /** @param fd from {@link duplicate}, and nobody else's by now */
  close(fd: number): void {
    this.#sockets.close(fd);
  }

  /** No call after it. */
  release(): void {
    this.#message.release();
  }

  #point(start: Uint8Array, body: Uint8Array | undefined): void {
    [this.#start, this.#body] = [start, body];
    this.#pointOne(iovecsAt, start);
    if (body) this.#pointOne(iovecsAt + 16, body);
    this.#message.u32[24 >> 2] = body ? 2 : 1;
  }

  #pointOne(iovecAt: number, { buffer, byteOffset, length }: Uint8Array): void {
    let address = this.#addresses.get(buffer);
    if (address === undefined) this.#addresses.set(buffer, (address = this.#addressOf(buffer)));
    this.#message.setPointer(iovecAt, address + byteOffset);
    this.#message.setPointer(iovecAt + 8, length);
  }
}

/** Undefined where it cannot be had: not Linux, no FFI, or what was sent did not arrive as it was. */
export function openDirectTcp(library: NativeLibrary): DirectTcp | undefined {
  const { sockets } = library;
  if (!sockets) return undefined;
  const direct = new DirectTcp(library, sockets);
  if (arrives(library, sockets, direct)) return direct;
  direct.release();
  return undefined;
}

/** Sends two pieces to ourselves, by a descriptor and then by another one of the same socket. */
function arrives(library: NativeLibrary, sockets: Sockets, direct: DirectTcp): boolean {
  const slab = library.newSlab(64);
  if (sockets.socketpair(AF_UNIX, SOCK_STREAM + SOCK_NONBLOCK + SOCK_CLOEXEC, 0, slab.address) !== 0) return false;
  const [from, to] = [slab.u32[0]!, slab.u32[1]!];
  const isSaid = (fd: number): boolean => {
    const sent = direct.send(fd, Buffer.from("head"), Buffer.from("-body").subarray(1));
    const received = sockets.recv(to, slab.address + 16, 32, MSG_DONTWAIT);
    return sent === 8 && received === 8 && Buffer.from(slab.bytes.subarray(16, 24)).toString() === "headbody";
  };
  const second = direct.duplicate(from);
  try {
    return isSaid(from) && second !== undefined && second !== from && isSaid(second);
  } finally {
    if (second !== undefined) sockets.close(second);
    sockets.close(from);
    sockets.close(to);
    slab.release();
  }
}
