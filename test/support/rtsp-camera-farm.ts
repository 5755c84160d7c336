// A process of its own: prints its port, and is any number of cameras of 2.5 Mbit/s, one a connection, until its input ends.
import { createServer, type AddressInfo, type Socket } from "node:net";
import { interleavedHeaderLength, serializeInterleavedFrame } from "../../media-node/rtsp/interleaved-frame.ts";
import { RtspDeframer } from "../../media-node/rtsp/rtsp-deframer.ts";
import { headerOf, type RtspRequest } from "../../media-node/rtsp/rtsp-message.ts";
import { videoSdp } from "./scripted-camera.ts";

const framesPerSecond = 25;
const packetsPerFrame = 9;
const payloadBytes = 1_388;
/** Pictures from key frame to key frame. */
const groupFrames = Number(process.argv[2] ?? 50);
/** Cameras are not in step: each sends in its own slice of a picture's time. */
const sliceMs = 5;
const slices = 1_000 / framesPerSecond / sliceMs;

const packetBytes = interleavedHeaderLength + 12 + payloadBytes;
/** A picture in fragments (RFC 6184 §5.8), but for its numbers, times and kind. */
const picture = Buffer.concat(
  Array.from({ length: packetsPerFrame }, (_, place) => {
    const isLast = place === packetsPerFrame - 1;
    const packet = Buffer.alloc(12 + payloadBytes, 0x55);
    packet.fill(0, 0, 12);
    packet.set([0x80, isLast ? 0xe0 : 0x60]);
    packet.set([0x7c, place === 0 ? 0x80 : isLast ? 0x40 : 0, 0x88], 12);
    return serializeInterleavedFrame({ channel: 0, payload: packet });
  }),
);

class Camera {
  readonly #socket: Socket;
  #isPlaying = false;
  #sequence = 0;
  #frame: number;

  constructor(socket: Socket, place: number) {
    this.#socket = socket;
    this.#frame = place % groupFrames;
    const deframer = new RtspDeframer({
      onInterleaved() {},
      isKnownChannel: () => true,
      onMessage: (message) => {
        if (message.kind === "request") this.#answer(message);
      },
    });
    socket.on("data", (chunk: Buffer) => deframer.push(chunk));
  }

  #answer(request: RtspRequest): void {
    const sdp = request.method === "DESCRIBE" ? videoSdp() : "";
    const extra = {
      DESCRIBE: `Content-Base: ${request.uri}/\r\nContent-Type: application/sdp\r\n`,
      SETUP: `Session: 7;timeout=60\r\nTransport: ${headerOf(request, "transport")}\r\n`,
    }[request.method];
    const head = `RTSP/1.0 200 OK\r\nCSeq: ${headerOf(request, "cseq")}\r\n${extra ?? ""}Content-Length: ${sdp.length}\r\n\r\n`;
    this.#socket.write(head + sdp);
    if (request.method === "PLAY") this.#isPlaying = true;
  }

  /** One picture, its fragments in one write as a camera's socket gives them; its last 8 bytes tell when. */
  send(nowMs: number): void {
    if (!this.#isPlaying) return;
    const isKey = this.#frame % groupFrames === 0;
    const bytes = Buffer.from(picture);
    for (let place = 0; place < packetsPerFrame; place++) {
      const at = place * packetBytes + interleavedHeaderLength;
      bytes.writeUInt16BE(this.#sequence++ & 0xffff, at + 2);
      bytes.writeUInt32BE((this.#frame * 3_600) >>> 0, at + 4);
      bytes[at + 13]! |= isKey ? 5 : 1;
    }
    bytes.writeDoubleBE(nowMs, bytes.length - 8);
    this.#frame++;
    this.#socket.write(bytes);
  }
}

const cameras = new Set<Camera>();
const bySlice = Array.from({ length: slices }, () => new Set<Camera>());
const server = createServer((socket) => {
  const camera = new Camera(socket, cameras.size);
  const slice = bySlice[cameras.size % slices]!;
  cameras.add(camera);
  slice.add(camera);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.on("close", () => {
    cameras.delete(camera);
    slice.delete(camera);
  });
});
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));

/** What the clock says on both sides. */
const nowMs = (): number => performance.timeOrigin + performance.now();
const beganMs = nowMs();
let turn = 0;
const ticker = setInterval(() => {
  // A turn that comes late is made up for: the rate stays what it is.
  for (; beganMs + turn * sliceMs <= nowMs(); turn++)
    for (const camera of bySlice[turn % slices]!) camera.send(nowMs());
}, 1);
process.stdin.on("end", () => process.exit(0)).resume();
ticker.ref();
