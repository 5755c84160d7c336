// What an OvenMediaEngine edge checks of an origin's bytes, and what else the format promises, written from the
// specification and sharing no code with the room under test.
import assert from "node:assert/strict";
import { decodeTrace, type Trace, type TraceMedia } from "./ovt-fixtures.ts";

interface Expected {
  /** Applications in the order they were requested, with their ids. */
  readonly requests: readonly { readonly id: number; readonly application: string }[];
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function object(value: unknown, what: string): Json {
  assert.ok(isObject(value), `${what} is an object`);
  return value;
}

function list(value: unknown, what: string): readonly unknown[] {
  assert.ok(Array.isArray(value), `${what} is a list`);
  return value as readonly unknown[];
}

function uint(value: unknown, what: string): number {
  assert.ok(
    typeof value === "number" && Number.isInteger(value) && value >= 0,
    `${what} is unsigned: ${String(value)}`,
  );
  return value;
}

const text = (value: unknown, what: string): void => assert.equal(typeof value, "string", `${what} is text`);

/** Checks everything an origin sent on one connection, up to where `bytes` end; returns what it found. */
export function validateOriginBytes(bytes: Uint8Array, { requests }: Expected): Trace {
  const trace = decodeTrace(bytes);
  assert.equal(trace.rest, 0, "the bytes end on a packet border");
  assert.equal(trace.messages.length, requests.length, "one answer a request");
  const tracks = new Map<number, Json>();
  for (const [index, message] of trace.messages.entries()) {
    uint(message["id"], "id");
    text(message["application"], "application");
    text(message["message"], "message");
    assert.equal(message["id"], requests[index]!.id);
    assert.equal(message["code"], 200);
    assert.equal(message["application"], requests[index]!.application);
    if (requests[index]!.application !== "describe") continue;
    for (const track of validateContents(message["contents"])) tracks.set(uint(track["id"], "id"), track);
  }
  validatePackets(trace);
  for (const media of trace.media) validateMedia(media, tracks);
  validateOrder(trace);
  return trace;
}

function validateContents(value: unknown): Json[] {
  const contents = object(value, "contents");
  assert.equal(uint(contents["version"], "version"), 18);
  const stream = object(contents["stream"], "stream");
  assert.match(String(stream["appName"]), /^#[^#]+#[^#]+$/);
  text(stream["streamName"], "streamName");
  assert.match(String(stream["originStreamUUID"]), /^[^/]+\/#[^#]+#[^/]+\/[^/]+\/[io]$/);
  for (const playlist of stream["playlists"] === null ? [] : list(stream["playlists"], "playlists")) {
    validatePlaylist(object(playlist, "playlist"));
  }
  const tracks = list(stream["tracks"], "tracks").map((track) => object(track, "track"));
  const ids = tracks.map((track) => uint(track["id"], "id"));
  assert.deepEqual(
    ids,
    [...new Set(ids)].sort((a, b) => a - b),
    "ids are unique and ascend",
  );
  for (const track of tracks) validateTrack(track);
  return tracks;
}

function validatePlaylist(playlist: Json): void {
  text(playlist["name"], "name");
  text(playlist["fileName"], "fileName");
  const options = object(playlist["options"], "options");
  assert.equal(typeof options["webrtcAutoAbr"], "boolean");
  assert.equal(typeof options["enableTsPackaging"], "boolean");
  assert.ok(Number.isInteger(options["hlsChunklistPathDepth"]));
  for (const item of list(playlist["renditions"], "renditions")) {
    const rendition = object(item, "rendition");
    for (const key of ["name", "videoTrackName", "audioTrackName"]) text(rendition[key], key);
    for (const key of ["videoIndexHint", "audioIndexHint"]) assert.ok(Number.isInteger(rendition[key]), key);
  }
}

function validateTrack(track: Json): void {
  assert.ok(uint(track["id"], "id") <= 0x7fffffff);
  assert.ok(typeof track["name"] === "string" && track["name"] !== "", "a track has a name");
  const codecId = uint(track["codecId"], "codecId");
  const mediaType = uint(track["mediaType"], "mediaType");
  for (const key of ["timebaseNum", "timebaseDen", "bitrate", "startFrameTime", "lastFrameTime"]) uint(track[key], key);
  assert.ok(Number(track["timebaseNum"]) > 0 && Number(track["timebaseDen"]) > 0);
  const video = object(track["videoTrack"], "videoTrack");
  const audio = object(track["audioTrack"], "audioTrack");
  assert.equal(typeof video["framerate"], "number");
  for (const key of ["width", "height"]) uint(video[key], key);
  for (const key of ["samplerate", "layout"]) uint(audio[key], key);
  assert.ok(Number.isInteger(audio["sampleFormat"]));
  // What makes an edge announce the stream at once.
  if (mediaType === 0) {
    assert.ok(Number(video["width"]) > 0 && Number(video["height"]) > 0, "video has a size");
    assert.ok(Number(video["framerate"]) > 0 && Number(track["bitrate"]) > 0, "video is measured");
  }
  if (mediaType === 1) assert.ok(Number(audio["layout"]) > 0 && Number(track["bitrate"]) > 0, "audio is measured");
  const needsConfig = mediaType <= 1 && [1, 2, 7].includes(codecId);
  assert.equal(needsConfig, typeof track["decoderConfig"] === "string", "decoderConfig where there is one");
  if (needsConfig)
    assert.match(String(track["decoderConfig"]), /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/);
}

function validatePackets({ packets }: Trace): void {
  let sequence: number | undefined;
  let session: number | undefined;
  for (const packet of packets) {
    assert.ok([0x40, 0x60].includes(packet.firstByte), "version 1, no reserved bit");
    assert.ok(packet.payload.length >= 1 && packet.payload.length <= 32_750);
    if (packet.firstByte === 0x40) assert.equal(packet.payload.length, 32_750, "only the last piece is shorter");
    assert.ok([20, 30].includes(packet.payloadType));
    if (packet.payloadType === 20) {
      assert.equal(packet.sessionId, 0);
      continue;
    }
    assert.equal(packet.sessionId, session ?? packet.sessionId);
    session = packet.sessionId;
    if (sequence !== undefined) assert.equal(packet.sequence, (sequence + 1) & 0xffff, "sequence numbers go on");
    sequence = packet.sequence;
  }
}

/** Bitstream format of each codec, as releases since 0.19 number them. */
const formats: Readonly<Record<number, number>> = { 1: 1, 2: 4, 3: 6, 7: 10, 8: 14, 9: 12 };

function validateMedia(media: TraceMedia, tracks: ReadonlyMap<number, Json>): void {
  const track = tracks.get(media.trackId);
  assert.ok(track, `track ${media.trackId} was described`);
  assert.equal(media.mediaType, track["mediaType"]);
  for (const packet of media.packets) assert.equal(packet.timestamp, media.pts, "the header repeats the PTS");
  if (media.mediaType > 1) return;
  assert.equal(media.bitstreamFormat, formats[Number(track["codecId"])]);
  assert.ok(media.duration >= 0n);
  if (track["codecId"] === 1 || track["codecId"] === 2) validateAccessUnit(media, track["codecId"]);
  if (track["codecId"] === 7) validateAdts(media.data);
}

function validateAccessUnit({ data, flag }: TraceMedia, codecId: 1 | 2): void {
  assert.match(data.toString("hex", 0, 4), /^(000001|00000001)/, "an access unit begins with a start code");
  const types: number[] = [];
  for (let i = 0; i + 3 < data.length; i++) {
    if (data[i] !== 0 || data[i + 1] !== 0 || data[i + 2] !== 1) continue;
    types.push(codecId === 1 ? data[i + 3]! & 31 : (data[i + 3]! >> 1) & 63);
  }
  const isKey = types.some((type) => (codecId === 1 ? type === 5 : type >= 16 && type <= 21));
  assert.equal(flag === 2, isKey, "the flag tells a key frame");
  const needed = codecId === 1 ? [7, 8] : [32, 33, 34];
  if (isKey) for (const type of needed) assert.ok(types.includes(type), `parameter set ${type} before a key frame`);
}

function validateAdts(data: Buffer): void {
  let at = 0;
  while (at < data.length) {
    assert.equal(data.readUInt16BE(at) & 0xfff6, 0xfff0, "an ADTS frame");
    at += (data.readUIntBE(at + 3, 3) >> 5) & 0x1fff;
  }
  assert.equal(at, data.length, "whole ADTS frames");
}

function validateOrder({ packets, media, messages }: Trace): void {
  const firstMedia = packets.findIndex(({ payloadType }) => payloadType === 30);
  if (firstMedia < 0) return;
  const play = messages.findIndex((message) => message["application"] === "play");
  const answers = packets.slice(0, firstMedia).filter(({ payloadType }) => payloadType === 20).length;
  assert.ok(play >= 0 && answers >= play + 1, "no media before the answer to play");
  const last = new Map<number, bigint>();
  for (const { trackId, dts, mediaType } of media) {
    if (mediaType > 1) continue;
    const before = last.get(trackId);
    if (before !== undefined) assert.ok(dts > before, `decoding times of track ${trackId} grow`);
    last.set(trackId, dts);
  }
}
