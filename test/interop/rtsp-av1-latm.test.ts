// Payload formats that Debian has no RTSP sender for: what real encoders make is put into packets as the specifications
// say, and comes out of ours as it was.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseAdtsFrames } from "../../media-node/codecs/aac.ts";
import { obuType, readLeb128, serializeLeb128 } from "../../media-node/codecs/av1.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { collectSource } from "../support/collect-source.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { ScriptedCamera } from "../support/scripted-camera.ts";

const frameCount = 30;
let folder: string;
before(async () => void (folder = await mkdtemp(join(tmpdir(), "hearth-av1-"))));
after(() => rm(folder, { recursive: true }));

async function ffmpeg(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram("ffmpeg", ["-v", "error", "-y", ...args]);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function pictureHashes(file: string): Promise<string[]> {
  const lines = (await ffmpeg("-i", file, "-f", "framemd5", "-")).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => line.split(",").at(-1)!.trim());
}

interface Payload {
  readonly bytes: readonly number[];
  readonly timestamp: number;
  readonly marker: boolean;
}

/** What becomes of payloads that a camera with this description sends. */
async function pull(sdp: readonly string[], payloads: readonly Payload[], samples: number) {
  const camera = new ScriptedCamera({
    sdp: ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", ...sdp, ""].join("\r\n"),
  });
  const clock = new ManualClock();
  const opening = openRtspSource({ dial: camera.dial, clock, logger: silentLogger })("rtsp://camera/", {
    signal: AbortSignal.timeout(10_000),
  });
  await camera.request("PLAY");
  const send = ({ bytes, timestamp, marker }: Payload): void => camera.rtp(bytes, { timestamp, marker });
  // The track's description comes in band: the source opens with the first frames.
  for (const payload of payloads) send(payload);
  const source = await opening;
  const collected = collectSource(source);
  await collected.until((all) => all.length >= samples);
  await source.close({ code: "done" });
  return { track: source.description.tracks[0]!, samples: collected.samples as readonly Sample[] };
}

/** Frames of an IVF file. */
function ivfFrames(file: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 32; at < file.length;) {
    const length = file.readUInt32LE(at);
    frames.push(file.subarray(at + 12, at + 12 + length));
    at += 12 + length;
  }
  return frames;
}

function toIvf(head: Buffer, frames: readonly Uint8Array[]): Buffer {
  const parts = frames.flatMap((data, index) => {
    const header = Buffer.alloc(12);
    header.writeUInt32LE(data.length, 0);
    header.writeUInt32LE(index, 4);
    return [header, data];
  });
  return Buffer.concat([head, ...parts]);
}

/** The OBUs of a temporal unit without sizes, as the payload format wants them, and without the delimiter. */
function obusOf(unit: Buffer): Buffer[] {
  const obus: Buffer[] = [];
  for (let at = 0; at < unit.length;) {
    const header = unit[at]!;
    const headerLength = header & 4 ? 2 : 1;
    const size = readLeb128(unit, at + headerLength)!;
    const payload = unit.subarray(size.end, size.end + size.value);
    const bare = Buffer.concat([Buffer.of(header & ~2), unit.subarray(at + 1, at + headerLength), payload]);
    if (((header >> 3) & 15) !== obuType.temporalDelimiter) obus.push(bare);
    at = size.end + size.value;
  }
  return obus;
}

/** AOM's RTP payload format §4: `W` = 0 and a length before each element, or one element a packet; cut at `largest`. */
function packetizeAv1(unit: Buffer, index: number, largest: number): Payload[] {
  const elements: { bytes: Buffer; continues: boolean; goesOn: boolean }[] = [];
  for (const obu of obusOf(unit)) {
    for (let at = 0; at < obu.length; at += largest) {
      const bytes = obu.subarray(at, at + largest);
      elements.push({ bytes, continues: at > 0, goesOn: at + largest < obu.length });
    }
  }
  const packets: Payload[] = [];
  for (let at = 0; at < elements.length;) {
    const group = elements.slice(at, at + 1);
    // Small whole ones share a packet.
    const last = index % 2 === 0 ? elements.length : at + 1;
    while (!group.at(-1)!.goesOn && at + group.length < last) {
      group.push(elements[at + group.length]!);
    }
    at += group.length;
    const flags = (group[0]!.continues ? 0x80 : 0) | (group.at(-1)!.goesOn ? 0x40 : 0);
    const count = group.length > 3 ? 0 : group.length;
    const bytes = group.flatMap(({ bytes: element }, place) => {
      const hasLength = count === 0 || place < group.length - 1;
      return [...(hasLength ? serializeLeb128(element.length) : []), ...element];
    });
    packets.push({ bytes: [flags | (count << 4), ...bytes], timestamp: index * 3_600, marker: at === elements.length });
  }
  return packets;
}

test("AV1 of a real encoder comes out of packets of any size and is decoded to the same pixels", async () => {
  const file = join(folder, "clip.ivf");
  const source = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25", "-frames:v", String(frameCount)];
  await ffmpeg(
    ...source,
    "-c:v",
    "libaom-av1",
    "-cpu-used",
    "8",
    "-usage",
    "realtime",
    "-g",
    "10",
    "-pix_fmt",
    "yuv420p",
    file,
  );
  const bytes = await readFile(file);
  const units = ivfFrames(bytes);
  const original = await pictureHashes(file);
  assert.equal(original.length, frameCount);
  for (const largest of [200, 1_200]) {
    const payloads = units.flatMap((unit, index) => packetizeAv1(unit, index, largest));
    const sdp = ["m=video 0 RTP/AVP 96", "a=rtpmap:96 AV1/90000", "a=control:trackID=1"];
    const { track, samples } = await pull(sdp, payloads, frameCount);
    assert.deepEqual([track.codec, track.video?.width, track.video?.height], ["av1", 320, 240]);
    assert.deepEqual(
      samples.flatMap(({ isKeyframe }, index) => (isKeyframe ? [index] : [])),
      [0, 10, 20],
    );
    const pulled = join(folder, `pulled-${largest}.ivf`);
    await writeFile(
      pulled,
      toIvf(
        bytes.subarray(0, 32),
        samples.map(({ data }) => data),
      ),
    );
    assert.deepEqual(await pictureHashes(pulled), original);
  }
});

test("LATM that brings its configuration in band gives the encoder's frames, whole or in pieces", async () => {
  const [adts, latm] = [join(folder, "sound.aac"), join(folder, "sound.latm")];
  await ffmpeg("-f", "lavfi", "-i", "sine=sample_rate=44100:duration=1", "-c:a", "aac", "-ac", "2", adts);
  await ffmpeg("-i", adts, "-c", "copy", latm);
  const frames = parseAdtsFrames(await readFile(adts)).map(({ data }) => data);
  const stream = await readFile(latm);
  const elements: Buffer[] = [];
  // LOAS (ISO 14496-3 §1.7.2): 11 bits of sync, 13 of length, then the AudioMuxElement.
  for (let at = 0; at < stream.length;) {
    assert.equal(stream.readUInt16BE(at) >> 5, 0x2b7);
    const length = stream.readUIntBE(at, 3) & 0x1fff;
    elements.push(stream.subarray(at + 3, at + 3 + length));
    at += 3 + length;
  }
  const payloads = elements.flatMap((element, index): Payload[] => {
    const cut = index % 3 === 0 ? element.length >> 1 : element.length;
    const pieces = [element.subarray(0, cut), element.subarray(cut)].filter(({ length }) => length > 0);
    return pieces.map((piece, place) => ({
      bytes: [...piece],
      timestamp: index * 1_024,
      marker: place === pieces.length - 1,
    }));
  });
  const sdp = ["m=audio 0 RTP/AVP 96", "a=rtpmap:96 MP4A-LATM/44100/2", "a=fmtp:96 profile-level-id=1;cpresent=1"];
  const { track, samples } = await pull([...sdp, "a=control:trackID=1"], payloads, frames.length);
  assert.deepEqual(track.audio, { sampleRate: 44_100, channels: 2 });
  assert.equal(Buffer.from(track.decoderConfig!).toString("hex"), "1210");
  assert.deepEqual(
    samples.map(({ data }) => Buffer.from(data).toString("hex")),
    frames.map((data) => Buffer.from(data).toString("hex")),
  );
});
