// UDP sockets that nobody waits on and that several viewers share, each by a loopback address of its own: they are looked at
// when their owner has time, many datagrams a system call. A viewer beside the node it measures should cost next to nothing;
// and on loopback the kernel does a receiver's work in the sender's name, which this keeps to a look-up and a queue, as
// with a network in between.
import { createRequire } from "node:module";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { openUdpSocket, sockaddrBytes, writeSockaddr } from "../../media-node/webrtc/native/udp-socket.ts";

interface Koffi {
  load(path: null): { func(name: string, result: string, args: readonly string[]): (...args: number[]) => number };
}

const library = loadNativeLibrary();
const koffi = createRequire(import.meta.url)("koffi") as Koffi;
const libc = koffi.load(null);
const sendmsg = libc.func("sendmsg", "intptr_t", ["int", "intptr_t", "int"]);
const recvmmsg = libc.func("recvmmsg", "int", ["int", "intptr_t", "uint", "int", "intptr_t"]);
const MSG_DONTWAIT = 0x40;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const SO_TIMESTAMPNS = 35;
const SOL_UDP = 17;
const UDP_GRO = 104;

// What is received, Linux, 64 bit: mmsghdrs (64 bytes), an iovec (16) and room for control messages (128) for each, then data.
const batch = 32;
/** A train of datagrams at its longest. */
const maxBytes = 65_536;
const headerBytes = 64;
const iovecsAt = batch * headerBytes;
const controlsAt = iovecsAt + batch * 16;
const controlBytes = 128;
const inbox = library.newSlab(controlsAt + batch * controlBytes);
const data = library.newSlab(batch * maxBytes);
const bytes = Buffer.from(data.bytes.buffer, data.bytes.byteOffset, batch * maxBytes);
for (let i = 0; i < batch; i++) {
  inbox.setPointer(i * headerBytes + 16, inbox.address + iovecsAt + i * 16);
  inbox.setPointer(i * headerBytes + 24, 1);
  inbox.setPointer(i * headerBytes + 32, inbox.address + controlsAt + i * controlBytes);
  inbox.setPointer(iovecsAt + i * 16, data.address + i * maxBytes);
  inbox.setPointer(iovecsAt + i * 16 + 8, maxBytes);
}

// What is sent: a msghdr (56), an iovec (16) at 64, a control message that names the sender (32) at 80, whereto at 112.
const outIovecAt = 64;
const outControlAt = 80;
const outAddressAt = 112;
const maxSendBytes = 2048;
const out = library.newSlab(outAddressAt + sockaddrBytes + maxSendBytes);
const outDataAt = outAddressAt + sockaddrBytes;
out.setPointer(0, out.address + outAddressAt);
out.u32[8 >> 2] = 16;
out.setPointer(16, out.address + outIovecAt);
out.setPointer(24, 1);
out.setPointer(32, out.address + outControlAt);
out.setPointer(40, 32);
out.setPointer(outIovecAt, out.address + outDataAt);
out.setPointer(outControlAt, 28);
out.u32[(outControlAt + 8) >> 2] = IPPROTO_IP;
out.u32[(outControlAt + 12) >> 2] = IP_PKTINFO;

/**
 * Gets what came in `bytes[start…end)`, valid during the call: datagrams of `segment` bytes each but the last.
 * @param atMs when the kernel had it, on `performance.now()`'s clock: whether this process had time then does not matter
 */
export type TakeDatagrams = (bytes: Buffer, start: number, end: number, segment: number, atMs: number) => void;

/** Few enough that a socket's buffer holds everybody's pictures where the process may not ask for more than the default. */
const maxSharing = 16;
const bufferBytes = 8 << 20;

class SharedSocket {
  static readonly open: SharedSocket[] = [];
  static takesTrains = false;
  readonly fd: number;
  readonly port: number;
  readonly takers: (TakeDatagrams | undefined)[] = [];
  #drainedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  /** One with room for another viewer. */
  static find(): SharedSocket {
    const roomy = SharedSocket.open.find((socket) => socket.takers.length < maxSharing);
    if (roomy) return roomy;
    const socket = new SharedSocket();
    SharedSocket.open.push(socket);
    return socket;
  }

  constructor() {
    this.fd = openUdpSocket(library, library.sockets!, "0.0.0.0", 0, bufferBytes);
    out.bytes.set([0x6c, 0x6f, 0], outDataAt);
    library.sockets!.setsockopt(this.fd, SOL_SOCKET, SO_BINDTODEVICE, out.address + outDataAt, 3);
    out.u32[outDataAt >> 2] = sockaddrBytes;
    library.sockets!.getsockname(this.fd, out.address + outAddressAt, out.address + outDataAt);
    this.port = out.bytes[outAddressAt + 2]! * 256 + out.bytes[outAddressAt + 3]!;
    this.#set(IPPROTO_IP, IP_PKTINFO, 1);
    this.#set(SOL_SOCKET, SO_TIMESTAMPNS, 1);
    this.#set(SOL_UDP, UDP_GRO, Number(SharedSocket.takesTrains));
  }

  takeTrains(isTaking: boolean): void {
    this.#set(SOL_UDP, UDP_GRO, Number(isTaking));
  }

  drain(nowMs: number): void {
    if (nowMs === this.#drainedMs) return;
    this.#drainedMs = nowMs;
    while (!this.#isClosed) {
      for (let i = 0; i < batch; i++) inbox.u32[(i * headerBytes + 40) >> 2] = controlBytes;
      const count = recvmmsg(this.fd, inbox.address, batch, MSG_DONTWAIT, 0);
      for (let i = 0; i < count; i++) this.#hand(i);
      if (count < batch) return;
    }
  }

  leave(index: number): void {
    this.takers[index] = undefined;
    if (this.takers.some(Boolean)) return;
    const at = SharedSocket.open.indexOf(this);
    if (at < 0) return;
    SharedSocket.open.splice(at, 1);
    this.#isClosed = true;
    library.sockets!.close(this.fd);
  }

  #hand(i: number): void {
    const { u32 } = inbox;
    const length = u32[(i * headerBytes + 56) >> 2]!;
    const from = controlsAt + i * controlBytes;
    const until = from + u32[(i * headerBytes + 40) >> 2]!;
    let segment = length;
    let index = -1;
    let atMs = 0;
    // | length (64) | level (32) | type (32) | data … | padding to 8 |
    for (let at = from; at + 16 <= until; at += (u32[at >> 2]! + 7) & ~7) {
      const level = u32[(at + 8) >> 2]!;
      const type = u32[(at + 12) >> 2]!;
      if (level === SOL_UDP && type === UDP_GRO) segment = u32[(at + 16) >> 2]!;
      // Interface, address asked for, address it came to, whose last byte is the viewer's place.
      else if (level === IPPROTO_IP && type === IP_PKTINFO) index = inbox.bytes[at + 16 + 11]! - 1;
      // Seconds and nanoseconds since 1970, 64 bits each.
      else if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
        atMs = inbox.pointerAt(at + 16) * 1000 - performance.timeOrigin + u32[(at + 24) >> 2]! / 1e6;
      }
    }
    const start = i * maxBytes;
    if (length > 0) this.takers[index]?.(bytes, start, start + length, segment, atMs);
  }

  #set(level: number, option: number, value: number): void {
    out.u32[outDataAt >> 2] = value;
    library.sockets!.setsockopt(this.fd, level, option, out.address + outDataAt, 4);
  }
}

/** A viewer's own address on a socket shared with others. */
export class ViewerSocket {
  readonly #socket = SharedSocket.find();
  readonly #index: number;

  constructor(take: TakeDatagrams) {
    this.#index = this.#socket.takers.push(take) - 1;
  }

  /**
   * With true, a train that its sender left to the kernel to cut arrives in one piece, as it leaves a machine whose network
   * card does the cutting. At first the kernel cuts it, in the sender's name. For all sockets of this process.
   */
  static set takesTrains(isTaking: boolean) {
    SharedSocket.takesTrains = isTaking;
    for (const socket of SharedSocket.open) socket.takeTrains(isTaking);
  }

  get address(): string {
    return `127.77.0.${this.#index + 1}`;
  }

  get port(): number {
    return this.#socket.port;
  }

  /** As much as fits a packet of any path. */
  send(datagram: Uint8Array, port: number, address: string): void {
    out.bytes.set(datagram, outDataAt);
    out.u32[(outIovecAt + 8) >> 2] = datagram.length;
    out.setPointer(outIovecAt, out.address + outDataAt);
    // The sender's address, in network order: 127.77.0.(place).
    out.u32[(outControlAt + 20) >> 2] = 0x4d7f + ((this.#index + 1) << 24);
    writeSockaddr(out.bytes, outAddressAt, address, port);
    sendmsg(this.#socket.fd, out.address, MSG_DONTWAIT);
  }

  /** Hands over what waits for any viewer of this socket, oldest first; once for each `nowMs`. */
  drain(nowMs: number): void {
    this.#socket.drain(nowMs);
  }

  /** May be called twice. */
  close(): void {
    this.#socket.leave(this.#index);
  }
}
