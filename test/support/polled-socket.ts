// A UDP socket that nobody waits on: it is looked at when its owner has time, so that a datagram that arrives wakes nothing.
// On loopback the kernel does a receiver's work in the sender's name; this keeps that work to a look-up and a queue, as
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
const sendto = libc.func("sendto", "intptr_t", ["int", "intptr_t", "intptr_t", "int", "intptr_t", "int"]);
const recvmsg = libc.func("recvmsg", "intptr_t", ["int", "intptr_t", "int"]);
const MSG_DONTWAIT = 0x40;
const SOL_UDP = 17;
const UDP_GRO = 104;
/** A train of datagrams at its longest. */
const maxBytes = 65_536;
const slab = library.newSlab(maxBytes);
const maxSendBytes = 2048;
/** Apart from what is received: who is handed a datagram may answer it at once. */
const out = library.newSlab(maxSendBytes + sockaddrBytes);
const view = Buffer.from(slab.bytes.buffer, slab.bytes.byteOffset, maxBytes);

// Linux, 64 bit: a msghdr (56 bytes) with one iovec behind it and room for one cmsg.
const control = library.newSlab(256);
const iovecAt = 64;
const cmsgAt = 96;
const cmsgBytes = 64;
const controlLengthAt = 40;
control.setPointer(16, control.address + iovecAt);
control.setPointer(24, 1);
control.setPointer(32, control.address + cmsgAt);
control.setPointer(iovecAt, slab.address);
control.setPointer(iovecAt + 8, maxBytes);

export class PolledSocket {
  readonly #fd: number;
  #isClosed = false;

  /** On 127.0.0.1, any port. */
  constructor(bufferBytes: number, port = 0) {
    this.#fd = openUdpSocket(library, library.sockets!, "127.0.0.1", port, bufferBytes);
  }

  /**
   * With true, a train that its sender left to the kernel to cut arrives in one piece, as it leaves a machine whose network
   * card does the cutting. At first the kernel cuts it, in the sender's name.
   */
  set takesTrains(isTaking: boolean) {
    control.u32[cmsgAt >> 2] = Number(isTaking);
    library.sockets!.setsockopt(this.#fd, SOL_UDP, UDP_GRO, control.address + cmsgAt, 4);
  }

  send(bytes: Uint8Array, port: number, address: string): void {
    out.bytes.set(bytes);
    writeSockaddr(out.bytes, maxSendBytes, address, port);
    sendto(this.#fd, out.address, bytes.length, MSG_DONTWAIT, out.address + maxSendBytes, 16);
  }

  /** Hands over what waits, oldest first, as a view that is valid during the call. */
  drain(take: (datagram: Buffer) => void): void {
    while (!this.#isClosed) {
      control.u32[controlLengthAt >> 2] = cmsgBytes;
      const length = recvmsg(this.#fd, control.address, MSG_DONTWAIT);
      if (length < 0) return;
      const { u32 } = control;
      const isTrain = u32[controlLengthAt >> 2] !== 0 && u32[(cmsgAt + 12) >> 2] === UDP_GRO;
      const segment = isTrain ? u32[(cmsgAt + 16) >> 2]! : length;
      for (let at = 0; at < length; at += segment) take(view.subarray(at, Math.min(at + segment, length)));
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    library.sockets!.close(this.#fd);
  }
}
