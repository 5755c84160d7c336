import { isIPv4 } from "node:net";
import { TransportError } from "../../flow/errors.ts";
import { parseIpv6 } from "../transport/ip-address.ts";
import { newOutletCounters, type DatagramOutlet, type OutletCounters } from "../transport/packet-outlet.ts";
import type { NativeLibrary, Sockets } from "./library.ts";
import type { NativeSlab } from "./slab.ts";

// Linux, 64 bit: constants and structures of <sys/socket.h>, <netinet/in.h>, <linux/udp.h>.
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const MSG_DONTWAIT = 0x40;
export const EINTR = 4;
export const EIO = 5;
export const EAGAIN = 11;
export const EINVAL = 22;
export const EMSGSIZE = 90;
export const EADDRINUSE = 98;
export const ENOBUFS = 105;

/** A flash crowd's handshakes wait in it, and a key frame's trains. Without privileges: at most `net.core.{r,w}mem_max`. */
const socketBufferBytes = 8 << 20;

export const sockaddrBytes = 32;
const addressLengthOf = (isV4: boolean): number => (isV4 ? 16 : 28);

/**
 * Opens and binds a non-blocking UDP socket, to be handed to `dgram` with `bind({ fd })`, which then owns it.
 * @param port 0 for any
 * @throws {TransportError} `UDP_BIND` with the errno in its message
 */
export function openUdpSocket(
  library: NativeLibrary,
  sockets: Sockets,
  address: string,
  port: number,
  bufferBytes = socketBufferBytes,
): number {
  const slab = library.newSlab(64);
  const isV4 = isIPv4(address);
  const fd = sockets.socket(isV4 ? AF_INET : AF_INET6, SOCK_DGRAM + SOCK_NONBLOCK + SOCK_CLOEXEC, 0);
  try {
    if (fd < 0) throw new TransportError("UDP_BIND", `no UDP socket: errno ${sockets.errno()}`);
    const setInt = (level: number, option: number, value: number): void => {
      slab.u32[8] = value;
      sockets.setsockopt(fd, level, option, slab.address + 32, 4);
    };
    if (!isV4) setInt(IPPROTO_IPV6, IPV6_V6ONLY, 1);
    // The forced ones pass the system's limit where the process may; else they fail and change nothing.
    for (const option of [SO_SNDBUF, SO_RCVBUF, SO_SNDBUFFORCE, SO_RCVBUFFORCE]) {
      setInt(SOL_SOCKET, option, bufferBytes);
    }
    writeSockaddr(slab.bytes, 0, address, port);
    if (sockets.bind(fd, slab.address, addressLengthOf(isV4)) !== 0) {
      const errno = sockets.errno();
      sockets.close(fd);
      const why = errno === EADDRINUSE ? "is in use" : `cannot be bound (errno ${errno})`;
      throw new TransportError("UDP_BIND", `UDP ${address} port ${port} ${why}`);
    }
    return fd;
  } finally {
    slab.release();
  }
}

/** `struct sockaddr_in` or `sockaddr_in6` of an address literal. */
export function writeSockaddr(out: Uint8Array, at: number, address: string, port: number): void {
  out.fill(0, at, at + sockaddrBytes);
  out[at + 2] = port >>> 8;
  out[at + 3] = port;
  if (isIPv4(address)) {
    out[at] = AF_INET;
    address.split(".").forEach((part, i) => (out[at + 4 + i] = Number(part)));
  } else {
    out[at] = AF_INET6;
    out.set(parseIpv6(address), at + 8);
  }
}

// Layout of the outlet's control slab: for each message a mmsghdr (64), an iovec (16) and a cmsg (24).
const maxMessages = 256;
const headerBytes = 64;
const iovecsAt = maxMessages * headerBytes;
const cmsgsAt = iovecsAt + maxMessages * 16;
const controlBytes = cmsgsAt + maxMessages * 24;
/** CMSG_LEN(2) and CMSG_SPACE(2). */
const cmsgLength = 18;
const cmsgSpace = 24;

/** Fits the second-level cache between protecting and sending; 20 viewers' frames leave with one system call. */
const slabBytes = 256 << 10;
/** Of one datagram's payload on IPv4; also bounds a train. */
const maxTrainBytes = 65_000;
/** UDP_MAX_SEGMENTS is 64 in kernels before 6.9. */
const maxTrainSegments = 64;
const maxDestinations = 65_536;
/** After so many full-buffer answers in one flush the rest is dropped without asking again. */
const maxWouldBlock = 4;

/**
 * Sends many viewers' packets with one system call: each message a train of equal datagrams (only its last may be
 * shorter) that the kernel segments (UDP_SEGMENT), many messages a `sendmmsg`.
 */
export class MmsgOutlet implements DatagramOutlet {
  readonly tier: "ffi-gso" | "ffi";
  readonly slab: NativeSlab;
  readonly #sockets: Sockets;
  readonly #fd: number;
  readonly #counters: OutletCounters;
  readonly #control: NativeSlab;
  readonly #addresses: NativeSlab;
  readonly #addressLength: number;
  readonly #maxSegments: number;
  readonly #destinationOf = new Uint32Array(maxMessages);
  readonly #segmentBytes = new Uint32Array(maxMessages);
  readonly #segments = new Uint32Array(maxMessages);
  readonly #refusesTrains = new Uint8Array(maxDestinations);
  readonly #freeDestinations: number[] = [];
  #destinations = 0;
  #messages = 0;
  #end = 0;
  #isTrainOpen = false;
  #isClosed = false;

  /** @param fd stays the caller's */
  constructor(
    library: NativeLibrary,
    sockets: Sockets,
    fd: number,
    options: { readonly isV4: boolean; readonly withTrains: boolean; readonly counters: OutletCounters },
  ) {
    this.tier = options.withTrains ? "ffi-gso" : "ffi";
    this.#maxSegments = options.withTrains ? maxTrainSegments : 1;
    this.#sockets = sockets;
    this.#fd = fd;
    this.#counters = options.counters;
    this.#addressLength = addressLengthOf(options.isV4);
    this.slab = library.newSlab(slabBytes);
    this.#control = library.newSlab(controlBytes);
    // Untouched pages of a fresh buffer cost nothing, so the table has its final size at once.
    this.#addresses = library.newSlab(maxDestinations * sockaddrBytes);
    for (let i = 0; i < maxMessages; i++) this.#prepareMessage(i);
  }

  openDestination(address: string, port: number): number {
    const destination = this.#freeDestinations.pop() ?? this.#destinations;
    if (destination >= maxDestinations) throw new TransportError("UDP_DESTINATIONS", "too many viewers on one port");
    if (destination === this.#destinations) this.#destinations++;
    writeSockaddr(this.#addresses.bytes, destination * sockaddrBytes, address, port);
    this.#refusesTrains[destination] = 0;
    return destination;
  }

  closeDestination(destination: number): void {
    this.flush();
    this.#freeDestinations.push(destination);
  }

  reserve(maxLength: number): number {
    if (this.#end + maxLength > slabBytes || this.#messages === maxMessages) this.flush();
    return this.#end;
  }

  commit(at: number, length: number, destination: number): void {
    this.#end = at + length;
    if (!this.#joinsTrain(length, destination)) this.#beginMessage(at, length, destination);
  }

  flush(): void {
    const count = this.#messages;
    if (count === 0 || this.#isClosed) return;
    const { sendmmsg } = this.#sockets;
    let next = 0;
    let wouldBlock = 0;
    while (next < count) {
      this.#counters.systemCalls++;
      const sent = sendmmsg(this.#fd, this.#control.address + next * headerBytes, count - next, MSG_DONTWAIT);
      if (sent > 0) {
        this.#countSent(next, next + sent);
        next += sent;
      } else if (this.#sockets.errno() !== EINTR) {
        const errno = this.#sockets.errno();
        if ((errno === EAGAIN || errno === ENOBUFS) && ++wouldBlock >= maxWouldBlock) next = this.#drop(next, count);
        else next = this.#settle(next, count, errno);
      }
    }
    this.#messages = 0;
    this.#end = 0;
    this.#isTrainOpen = false;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const slab of [this.slab, this.#control, this.#addresses]) slab.release();
  }

  #prepareMessage(i: number): void {
    const header = i * headerBytes;
    const { address, u32, bytes } = this.#control;
    u32[(header + 8) >> 2] = this.#addressLength;
    this.#control.setPointer(header + 16, address + iovecsAt + i * 16);
    this.#control.setPointer(header + 24, 1);
    this.#control.setPointer(header + 32, address + cmsgsAt + i * cmsgSpace);
    const cmsg = cmsgsAt + i * cmsgSpace;
    bytes[cmsg] = cmsgLength;
    u32[(cmsg + 8) >> 2] = SOL_UDP;
    u32[(cmsg + 12) >> 2] = UDP_SEGMENT;
  }

  #beginMessage(at: number, length: number, destination: number): void {
    const i = this.#messages++;
    const control = this.#control;
    const header = i * headerBytes;
    control.setPointer(header, this.#addresses.address + destination * sockaddrBytes);
    // Without a second segment the message carries no ancillary data.
    control.u32[(header + 40) >> 2] = 0;
    const iovec = iovecsAt + i * 16;
    control.setPointer(iovec, this.slab.address + at);
    control.u32[(iovec + 8) >> 2] = length;
    this.#destinationOf[i] = destination;
    this.#segmentBytes[i] = length;
    this.#segments[i] = 1;
    this.#isTrainOpen = this.#maxSegments > 1 && this.#refusesTrains[destination] === 0;
  }

  /** Whether the packet could be put behind the newest message. */
  #joinsTrain(length: number, destination: number): boolean {
    const i = this.#messages - 1;
    if (!this.#isTrainOpen || this.#destinationOf[i] !== destination) return false;
    const segmentBytes = this.#segmentBytes[i]!;
    const { u32 } = this.#control;
    const lengthAt = (iovecsAt + i * 16 + 8) >> 2;
    const trainBytes = u32[lengthAt]! + length;
    if (length > segmentBytes || trainBytes > maxTrainBytes || this.#segments[i]! >= this.#maxSegments) return false;
    u32[lengthAt] = trainBytes;
    u32[(i * headerBytes + 40) >> 2] = cmsgSpace;
    this.#control.bytes[cmsgsAt + i * cmsgSpace + 16] = segmentBytes;
    this.#control.bytes[cmsgsAt + i * cmsgSpace + 17] = segmentBytes >>> 8;
    this.#segments[i]!++;
    if (length < segmentBytes) this.#isTrainOpen = false;
    return true;
  }

  /** Message `at` failed with `errno`: what to do with it, and where to go on. */
  #settle(at: number, count: number, errno: number): number {
    const isTrain = this.#segments[at]! > 1;
    if (isTrain && (errno === EINVAL || errno === EIO || errno === EMSGSIZE)) {
      this.#counters.trainsRefused++;
      this.#refusesTrains[this.#destinationOf[at]!] = 1;
      this.#sendSingly(at);
      return at + 1;
    }
    if (errno !== EAGAIN && errno !== ENOBUFS) {
      this.#counters.droppedUnreachable += this.#segments[at]!;
      return at + 1;
    }
    // The rest of this viewer's batch is useless without what was lost.
    let end = at + 1;
    while (end < count && this.#destinationOf[end] === this.#destinationOf[at]) end++;
    return this.#drop(at, end);
  }

  #drop(from: number, to: number): number {
    for (let i = from; i < to; i++) this.#counters.droppedWouldBlock += this.#segments[i]!;
    return to;
  }

  /** Sends the train's segments one by one through its own, shortened, message. */
  #sendSingly(at: number): void {
    const { u32 } = this.#control;
    const iovec = iovecsAt + at * 16;
    const begin = this.#control.pointerAt(iovec);
    const total = u32[(iovec + 8) >> 2]!;
    const segmentBytes = this.#segmentBytes[at]!;
    u32[(at * headerBytes + 40) >> 2] = 0;
    for (let done = 0; done < total; done += segmentBytes) {
      const length = Math.min(segmentBytes, total - done);
      this.#control.setPointer(iovec, begin + done);
      u32[(iovec + 8) >> 2] = length;
      this.#counters.systemCalls++;
      const sent = this.#sockets.sendmmsg(this.#fd, this.#control.address + at * headerBytes, 1, MSG_DONTWAIT);
      if (sent === 1) {
        this.#counters.packetsOut++;
        this.#counters.bytesOut += length;
      } else this.#counters.droppedUnreachable++;
    }
  }

  #countSent(from: number, to: number): void {
    for (let i = from; i < to; i++) {
      this.#counters.packetsOut += this.#segments[i]!;
      this.#counters.bytesOut += this.#control.u32[(iovecsAt + i * 16 + 8) >> 2]!;
    }
  }
}

/**
 * Whether this kernel cuts a train into datagrams: sends one to itself over loopback and looks at what arrives.
 * A path that cannot (no checksum offload, small MTU) is found out later, per destination.
 */
export function canSendTrains(library: NativeLibrary, sockets: Sockets): boolean {
  let fd: number;
  try {
    fd = openUdpSocket(library, sockets, "127.0.0.1", 0);
  } catch {
    return false;
  }
  const slab = library.newSlab(256);
  const counters = newOutletCounters();
  const outlet = new MmsgOutlet(library, sockets, fd, { isV4: true, withTrains: true, counters });
  try {
    slab.u32[0] = sockaddrBytes;
    if (sockets.getsockname(fd, slab.address + 16, slab.address) !== 0) return false;
    const destination = outlet.openDestination("127.0.0.1", (slab.bytes[18]! << 8) | slab.bytes[19]!);
    for (const length of [100, 100, 60]) outlet.commit(outlet.reserve(length), length, destination);
    outlet.flush();
    const received = [1, 2, 3].map(() => sockets.recv(fd, slab.address + 64, 128, MSG_DONTWAIT));
    return received.join() === "100,100,60" && counters.trainsRefused === 0;
  } finally {
    outlet.close();
    slab.release();
    sockets.close(fd);
  }
}
