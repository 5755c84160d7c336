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
const sendto = koffi.load(null).func("sendto", "intptr_t", ["int", "intptr_t", "intptr_t", "int", "intptr_t", "int"]);
const MSG_DONTWAIT = 0x40;
const maxBytes = 2048;
const slab = library.newSlab(maxBytes + sockaddrBytes);
const view = Buffer.from(slab.bytes.buffer, slab.bytes.byteOffset, maxBytes);

export class PolledSocket {
  readonly #fd: number;
  #isClosed = false;

  /** On 127.0.0.1, any port. */
  constructor(bufferBytes: number, port = 0) {
    this.#fd = openUdpSocket(library, library.sockets!, "127.0.0.1", port, bufferBytes);
  }

  send(bytes: Uint8Array, port: number, address: string): void {
    slab.bytes.set(bytes);
    writeSockaddr(slab.bytes, maxBytes, address, port);
    sendto(this.#fd, slab.address, bytes.length, MSG_DONTWAIT, slab.address + maxBytes, 16);
  }

  /** Hands over what waits, oldest first, as a view that is valid during the call. */
  drain(take: (datagram: Buffer) => void): void {
    while (!this.#isClosed) {
      const length = library.sockets!.recv(this.#fd, slab.address, maxBytes, MSG_DONTWAIT);
      if (length < 0) return;
      take(view.subarray(0, length));
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    library.sockets!.close(this.#fd);
  }
}
