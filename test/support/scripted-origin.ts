// An origin of bytes: answers as a test says. Shares no code with the room under test.
import { duplexPair, type Duplex } from "node:stream";
import { decodeTrace } from "./ovt-fixtures.ts";

/** `body` as packets of at most `pieceLength` bytes of payload. */
export function packets(payloadType: number, body: Uint8Array, pieceLength = 32_750): Buffer {
  const out: Buffer[] = [];
  for (let at = 0, sequence = 0; at < body.length; at += pieceLength, sequence++) {
    const piece = body.subarray(at, at + pieceLength);
    const header = Buffer.alloc(18);
    header[0] = at + pieceLength >= body.length ? 0x60 : 0x40;
    header[1] = payloadType;
    header.writeUInt16BE(sequence & 0xffff, 2);
    header.writeUInt16BE(piece.length, 16);
    out.push(header, Buffer.from(piece));
  }
  return Buffer.concat(out);
}

export function messageBytes(message: unknown): Buffer {
  return packets(20, Buffer.from(JSON.stringify(message)));
}

export interface MediaFields {
  readonly track: number;
  readonly pts: number;
  readonly dts?: number;
  readonly mediaType: number;
  readonly flag?: number;
  readonly format: number;
  readonly packetType?: number;
  readonly data: Uint8Array;
}

export function mediaBytes(media: MediaFields, pieceLength?: number): Buffer {
  const header = Buffer.alloc(36);
  header.writeUInt32BE(media.track, 0);
  header.writeBigInt64BE(BigInt(media.pts), 4);
  header.writeBigInt64BE(BigInt(media.dts ?? media.pts), 12);
  header.writeBigInt64BE(1n, 20);
  header.writeInt8(media.mediaType, 28);
  header.writeUInt8(media.flag ?? 0, 29);
  header.writeInt8(media.format, 30);
  header.writeUInt8(media.packetType ?? 0, 31);
  header.writeUInt32BE(media.data.length, 32);
  return packets(30, Buffer.concat([header, media.data]), pieceLength);
}

/** A track as an OvenMediaEngine origin describes it. */
export function wireTrack(id: number, mediaType: number, codecId: number, more: object = {}): Record<string, unknown> {
  return {
    id,
    name: `track ${id}`,
    codecId,
    mediaType,
    timebaseNum: 1,
    timebaseDen: mediaType === 0 ? 90_000 : 48_000,
    bitrate: 1_000_000,
    startFrameTime: 0,
    lastFrameTime: 0,
    videoTrack: { framerate: 30, width: 1280, height: 720 },
    audioTrack: { samplerate: 48_000, sampleFormat: -1, layout: 3 },
    ...more,
  };
}

export function contentsOf(tracks: readonly unknown[], more: object = {}): Record<string, unknown> {
  return {
    version: 18,
    stream: { appName: "#default#app", streamName: "cam", originStreamUUID: "u/#default#app/cam/i", tracks, ...more },
  };
}

export interface Asked {
  readonly id: number;
  readonly application: string;
  readonly target: string;
  readonly [key: string]: unknown;
}

/** Called for every request; what it returns is sent. */
export type Script = (asked: Asked, connection: Duplex) => Uint8Array | undefined;

/** Answers describe with `contents`, play with ok and then `media`, stop with ok and FIN. */
export function wellBehaved(contents: unknown, media: Uint8Array = Buffer.alloc(0)): Script {
  return ({ id, application }, connection) => {
    const answer = { id, application, code: 200, message: "ok" };
    if (application === "describe") return messageBytes({ ...answer, contents });
    if (application === "play") return Buffer.concat([messageBytes(answer), media]);
    connection.end(messageBytes(answer));
    return undefined;
  };
}

export class ScriptedOrigin {
  readonly asked: Asked[] = [];
  readonly connections: Duplex[] = [];
  script: Script;

  constructor(script: Script) {
    this.script = script;
  }

  readonly dial = async (): Promise<Duplex> => {
    const [near, far] = duplexPair();
    far.once("close", () => setImmediate(() => near.destroy()));
    near.once("close", () => setImmediate(() => far.destroy()));
    far.on("error", () => {});
    this.connections.push(far);
    far.on("data", (chunk: Buffer) => {
      for (const message of decodeTrace(chunk).messages) {
        const asked: Asked = JSON.parse(JSON.stringify(message));
        this.asked.push(asked);
        const answer = this.script(asked, far);
        if (answer) far.write(answer);
      }
    });
    return near;
  };

  /** The connection opened last. */
  get connection(): Duplex {
    return this.connections.at(-1)!;
  }
}
