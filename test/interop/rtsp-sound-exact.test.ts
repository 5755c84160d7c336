// Every frame of sound a server sends is, byte for byte, that of the file it comes from.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { parseAdtsFrames } from "../../media-node/codecs/aac.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { OggPackets } from "../../media-node/transcoding/ogg-packets.ts";
import { collectSource, dialLoopback } from "../support/collect-source.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { startRtspServer, type RtspServerProcess } from "../support/rtsp-server.ts";

const framesOfAdts = (file: Buffer): Uint8Array[] => parseAdtsFrames(file).map(({ data }) => data);

function packetsOfOgg(file: Buffer): Uint8Array[] {
  const packets: Uint8Array[] = [];
  new OggPackets((packet) => packets.push(packet)).push(file);
  // The head and the tags.
  return packets.slice(2);
}

/** What is encoded, how it is sent, and which of the file's bytes are sound. */
const clips = [
  {
    codec: "aac",
    path: "/hbr",
    file: "sound.aac",
    encode: ["-c:a", "aac", "-ac", "2"],
    launch: "aacparse ! rtpmp4gpay",
    framesOf: framesOfAdts,
  },
  {
    codec: "aac",
    path: "/latm",
    file: "sound.aac",
    encode: ["-c:a", "aac", "-ac", "2"],
    launch: "aacparse ! rtpmp4apay",
    framesOf: framesOfAdts,
  },
  {
    codec: "opus",
    path: "/opus",
    file: "sound.opus",
    encode: ["-c:a", "libopus", "-ac", "2"],
    launch: "oggdemux ! opusparse ! rtpopuspay",
    framesOf: packetsOfOgg,
  },
  {
    codec: "mp3",
    path: "/mp3",
    file: "sound.mp3",
    encode: ["-c:a", "libmp3lame", "-ac", "2", "-write_xing", "0", "-id3v2_version", "0"],
    launch: "mpegaudioparse ! rtpmpapay",
    framesOf: (file: Buffer) => [file],
  },
  {
    codec: "pcmu",
    path: "/pcmu",
    file: "sound.ul",
    encode: ["-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1", "-f", "mulaw"],
    launch: "rawaudioparse format=mulaw sample-rate=8000 num-channels=1 ! rtppcmupay",
    framesOf: (file: Buffer) => [file],
  },
  {
    codec: "pcma",
    path: "/pcma",
    file: "sound.al",
    encode: ["-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1", "-f", "alaw"],
    launch: "rawaudioparse format=alaw sample-rate=8000 num-channels=1 ! rtppcmapay",
    framesOf: (file: Buffer) => [file],
  },
] as const;

let folder: string;
let server: RtspServerProcess;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hearth-sound-"));
  for (const { file, encode } of clips) {
    const source = ["-f", "lavfi", "-i", "sine=frequency=700:sample_rate=48000:duration=2"];
    const { code, stderr } = await runProgram("ffmpeg", [
      "-v",
      "error",
      "-y",
      ...source,
      ...encode,
      join(folder, file),
    ]);
    assert.equal(code, 0, stderr);
  }
  server = await startRtspServer(
    ...clips.flatMap(({ path, file, launch }) => [
      "--mount",
      path,
      `filesrc location=${join(folder, file)} ! ${launch} name=pay0`,
    ]),
  );
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

for (const transport of ["tcp", "udp"] as const) {
  test(`sound over ${transport}`, { concurrency: true }, async (t) => {
    const pulls = clips.map(({ codec, path, file, framesOf }) =>
      t.test(path, async () => {
        const settingsOf = () => ({ transport });
        const open = openRtspSource({ dial: dialLoopback, clock: systemClock, logger: silentLogger, settingsOf });
        const source = await open(`rtsp://127.0.0.1:${server.port}${path}`, { signal: AbortSignal.timeout(10_000) });
        const expected = Buffer.concat(framesOf(await readFile(join(folder, file))));
        const { samples, until } = collectSource(source);
        let bytes = 0;
        let counted = 0;
        // A payloader keeps what does not fill its last packet.
        const enough = expected.length * 0.9;
        await until((all) => {
          for (; counted < all.length; counted++) bytes += all[counted]!.data.length;
          return bytes >= enough;
        }, 20_000);
        await source.close({ code: "done" });
        assert.equal(source.description.tracks[0]!.codec, codec);
        const got = Buffer.concat(samples.map(({ data }) => data));
        assert.ok(got.equals(expected.subarray(0, got.length)), "other bytes than the file's");
        for (const [index, { dts }] of samples.slice(1).entries()) assert.ok(dts > samples[index]!.dts);
      }),
    );
    await Promise.all(pulls);
  });
}
