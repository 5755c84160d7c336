import { duplexPair, type Duplex } from "node:stream";
import { serializeInterleavedFrame } from "../../media-node/rtsp/interleaved-frame.ts";
import { RtspDeframer } from "../../media-node/rtsp/rtsp-deframer.ts";
import { headerOf, type RtspRequest } from "../../media-node/rtsp/rtsp-message.ts";
import type { DialRtsp } from "../../media-node/rtsp/rtsp-session.ts";

/** The parameter sets and slices of a 320 × 240 picture, as short as a parser lets them be. */
export const h264 = {
  sps: [
    0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 0x05, 0xa8, 0x30, 0x30, 0x35, 0x28, 0, 0, 3, 0, 8, 0, 0, 3, 1, 0x94,
    0x78, 0xa1, 0x55,
  ],
  pps: [0x68, 0xce, 0x3c, 0x80],
  idr: [0x65, 0x88, 0x84, 0x01],
  slice: [0x41, 0x9a, 0x02, 0x03],
};

const base64 = (bytes: readonly number[]): string => Buffer.from(bytes).toString("base64");
export const sprop = `sprop-parameter-sets=${base64(h264.sps)},${base64(h264.pps)}`;

/** A description with one H.264 track, and whatever lines are given behind it. */
export function videoSdp(fmtp = sprop, control = "trackID=1", ...more: string[]): string {
  const description = `a=fmtp:96 packetization-mode=1;${fmtp}`;
  const head = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "t=0 0", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"];
  return [...head, description, `a=control:${control}`, ...more, ""].join("\r\n");
}

/** What a camera answers instead of the usual: status line and headers, or `false` for silence. */
export type CameraAnswer =
  | { readonly status?: string; readonly headers?: readonly string[]; readonly body?: string; readonly raw?: string }
  | false
  | undefined;

export interface CameraScript {
  readonly sdp?: string;
  /** Called for every request; `undefined` = answer as a good camera would. */
  readonly answer?: (request: RtspRequest, camera: ScriptedCamera) => CameraAnswer;
}

/** An RTSP camera in memory that does what its script says, to be dialled as often as a test likes. */
export class ScriptedCamera {
  readonly requests: RtspRequest[] = [];
  /** What came on interleaved channels. */
  readonly interleaved: { readonly channel: number; readonly payload: Uint8Array }[] = [];
  connections = 0;
  readonly #script: CameraScript;
  #socket: Duplex | undefined;
  #sequence = new Map<number, number>();
  #waiting: { method: string; resolve: (request: RtspRequest) => void }[] = [];

  constructor(script: CameraScript = {}) {
    this.#script = script;
  }

  readonly dial: DialRtsp = async () => {
    const [ours, theirs] = duplexPair();
    this.connections++;
    this.#socket = ours;
    const deframer = new RtspDeframer({
      onInterleaved: (channel, payload) => this.interleaved.push({ channel, payload: payload.slice() }),
      isKnownChannel: () => true,
      onMessage: (message) => {
        if (message.kind === "request") this.#onRequest(message);
      },
    });
    ours.on("data", (chunk: Buffer) => deframer.push(chunk));
    ours.on("error", () => {});
    return theirs;
  };

  /** Resolves with the next request of a method. */
  request(method: string): Promise<RtspRequest> {
    return new Promise((resolve) => this.#waiting.push({ method, resolve }));
  }

  write(bytes: Uint8Array | string): void {
    this.#socket?.write(bytes);
  }

  /** Closes the connection from the camera's side. */
  end(): void {
    this.#socket?.end();
  }

  /** Sends one RTP packet on a channel; sequence numbers go on by themselves. */
  rtp(
    payload: readonly number[],
    over: {
      readonly timestamp: number;
      readonly marker?: boolean;
      readonly channel?: number;
      readonly payloadType?: number;
      readonly ssrc?: number;
      /** Packets that never arrive, before this one. */
      readonly lost?: number;
    },
  ): void {
    const { timestamp, marker = false, channel = 0, payloadType = 96, ssrc = 0x1234, lost = 0 } = over;
    const sequence = ((this.#sequence.get(channel) ?? 100) + lost) & 0xffff;
    this.#sequence.set(channel, sequence + 1);
    const packet = Buffer.alloc(12 + payload.length);
    packet[0] = 0x80;
    packet[1] = payloadType | (marker ? 0x80 : 0);
    packet.writeUInt16BE(sequence, 2);
    packet.writeUInt32BE(timestamp >>> 0, 4);
    packet.writeUInt32BE(ssrc, 8);
    packet.set(payload, 12);
    this.write(serializeInterleavedFrame({ channel, payload: packet }));
  }

  /** Sends pictures `from`…`to`, every `gop`th a key frame, 3600 ticks apart. */
  pictures(from: number, to: number, gop = 10): void {
    for (let index = from; index <= to; index++) {
      this.rtp(index % gop === 0 ? h264.idr : h264.slice, { timestamp: index * 3_600, marker: true });
    }
  }

  #onRequest(request: RtspRequest): void {
    this.requests.push(request);
    const answer = this.#script.answer?.(request, this);
    if (answer !== false) this.#answer(request, answer ?? {});
    const waiting = this.#waiting.findIndex(({ method }) => method === request.method);
    if (waiting >= 0) this.#waiting.splice(waiting, 1)[0]!.resolve(request);
  }

  #answer(
    request: RtspRequest,
    { status = "200 OK", headers, body, raw }: Exclude<CameraAnswer, false | undefined>,
  ): void {
    if (raw !== undefined) return this.write(raw);
    const usual = headers ?? this.#usualHeaders(request);
    const text =
      body ?? (request.method === "DESCRIBE" && status.startsWith("2") ? (this.#script.sdp ?? videoSdp()) : "");
    const cseq = usual.some((line) => /^cseq:/i.test(line)) ? [] : [`CSeq: ${headerOf(request, "cseq")}`];
    this.write([`RTSP/1.0 ${status}`, ...cseq, ...usual, `Content-Length: ${text.length}`, "", text].join("\r\n"));
  }

  #usualHeaders(request: RtspRequest): string[] {
    switch (request.method) {
      case "OPTIONS":
        return ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"];
      case "DESCRIBE":
        return [`Content-Base: ${request.uri}/`, "Content-Type: application/sdp"];
      case "SETUP":
        return ["Session: 7;timeout=60", `Transport: ${headerOf(request, "transport")}`];
      default:
        return ["Session: 7"];
    }
  }
}
