// LL-HLS and HLS version 3 through the router in players as people have them, none of them changed for us.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { importSigningKey } from "../../media-node/cluster/ticket/signing-key.ts";
import { signTicket, ticketQueryKey } from "../../media-node/cluster/ticket/ticket.ts";
import { openBrowser } from "../support/browser.ts";
import { decode, probeStreams } from "../support/ffmpeg.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";

const secret = "a secret of this cluster's own";

let cluster: LaptopCluster;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  cluster = await startLaptopCluster({ routerPort: 0, secret });
  pages = await servePages();
  browser = await openBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await cluster?.close();
});

const forms = { "LL-HLS": "llhls.m3u8", "MPEG-TS": "ts:playlist.m3u8" };
const urlOf = (file: string): string => `${cluster.url}/app/stream/${file}`;

const inBrowser: Record<string, readonly [page: string, file: string]> = {
  "hls.js 1.5": ["hls.html?library=/hls.js-1.5/hls.mjs&", forms["LL-HLS"]],
  "OvenPlayer with hls.js": ["ovenplayer-hls.html?", forms["LL-HLS"]],
  "Chromium's own HLS": ["native.html?", forms["LL-HLS"]],
  "Chromium's own HLS with MPEG-TS": ["native.html?", forms["MPEG-TS"]],
};

for (const [player, [page, file]] of Object.entries(inBrowser)) {
  test(`${player} plays`, { timeout: 60_000 }, async (t) => {
    const tab = await browser.newPage();
    await tab.goto(`${pages.url}/${page}file=${encodeURIComponent(urlOf(file))}`);
    const state = (): Promise<{ frames: number; errors: { fatal: boolean }[]; canPlay?: string }> =>
      tab.evaluate("state");
    const frames = await until("it has played for four seconds", 40_000, async () => {
      const now = await state();
      return now.frames > 100 ? now.frames : undefined;
    });
    const { errors, canPlay } = await state();
    if (page.startsWith("native")) assert.equal(canPlay, "maybe");
    t.diagnostic(`${frames} frames ${JSON.stringify(errors)}`);
    assert.deepEqual(
      errors.filter(({ fatal }) => fatal),
      [],
    );
    await tab.close();
  });
}

async function playInGStreamer(t: TestContext, url: string, bin: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-gst-"));
  const [picture, sound] = [join(folder, "picture"), join(folder, "sound")];
  const pictures = `d. ! queue ! videoconvert ! videoscale ! video/x-raw,format=I420,width=16,height=16 ! filesink location=${picture}`;
  const sounds = `d. ! queue ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=8000,channels=1 ! filesink location=${sound}`;
  const pipeline = `${bin} uri=${url} buffer-duration=1000000000 name=d ${pictures} ${sounds}`;
  const child = spawn("gst-launch-1.0", pipeline.split(" "), { stdio: ["ignore", "pipe", "pipe"] });
  t.after(async () => {
    child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  });
  let said = "";
  for (const output of [child.stdout, child.stderr])
    output.setEncoding("utf8").on("data", (text: string) => (said += text));
  const sizeOf = async (file: string): Promise<number> => (await stat(file).catch(() => undefined))?.size ?? 0;
  // 384 bytes a picture, 25 of them a second; 16,000 bytes of sound a second.
  await until("four seconds of both", 70_000, async () => {
    assert.equal(child.exitCode, null, said.slice(-2_000));
    return (await sizeOf(picture)) >= 100 * 384 && (await sizeOf(sound)) >= 4 * 16_000;
  });
  assert.doesNotMatch(said, /ERROR/);
}

/** VLC refuses to run as root. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

async function playInVlc(url: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-vlc-"));
  await chmod(folder, 0o777);
  try {
    const file = join(folder, "seen.ts");
    const args = ["-I", "dummy", "--no-plugins-cache", "--run-time", "6", "--play-and-exit", "--sout"];
    const child = spawn("/usr/bin/cvlc", [...args, `#std{access=file,mux=ts,dst=${file}}`, url, "vlc://quit"], {
      ...nobody,
      env: { ...process.env, HOME: folder, XDG_RUNTIME_DIR: folder },
      stdio: "ignore",
      timeout: 40_000,
    });
    await once(child, "exit");
    const kinds = (await probeStreams(file)).map(({ codec_type, codec_name }) => `${codec_type} ${codec_name}`);
    assert.deepEqual(kinds.toSorted(), ["audio aac", "video h264"]);
    // VLC stops in the middle of a frame: the last second does not count.
    const { frames, errors } = await decode(file, 3);
    assert.equal(errors, "");
    assert.ok(frames >= 70, `${frames} frames`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// Most of the time they wait for the stream to go on.
describe("outside browsers", { concurrency: true }, () => {
  // Its older demuxer, that of `uridecodebin`, holds LL-HLS pictures back: docs/interop.md.
  for (const [form, bin] of [
    ["LL-HLS", "uridecodebin3"],
    ["MPEG-TS", "uridecodebin3"],
    ["MPEG-TS", "uridecodebin"],
  ] as const) {
    test(`GStreamer plays both tracks of ${form} by ${bin}`, { timeout: 100_000 }, (t) =>
      playInGStreamer(t, urlOf(forms[form]), bin),
    );
  }
  test("ffmpeg plays both tracks of MPEG-TS", { timeout: 60_000 }, async () => {
    const { code, errors, frames, audioMs } = await decode(urlOf(forms["MPEG-TS"]), 4);
    assert.deepEqual([code, errors], [0, ""]);
    assert.ok(frames >= 98 && audioMs >= 3_900, `${frames} frames, ${audioMs} ms of sound`);
  });
});

/** Where nobody watches yet. By the router everybody would be sent where the stream is already. */
async function youngEdge(): Promise<string> {
  const plays = await fetch(urlOf(forms["LL-HLS"]));
  await plays.arrayBuffer();
  const young = [...cluster.ready].find(([id, { url = "" }]) => id.startsWith("edge") && !plays.url.startsWith(url));
  assert.ok(young, `an edge beside ${plays.url}`);
  const [node, { url }] = young;
  const name = { vhost: "default", app: "app", stream: "stream" };
  const ticket = await signTicket(await importSigningKey(secret), { node, name, protocol: "llhls" }, Date.now());
  return `${url}/app/stream/llhls.m3u8?${ticketQueryKey}=${ticket}`;
}

// By now the stream is older than a list is long, and what the edge lists to others begins with gaps.
test("VLC plays both tracks of LL-HLS from an edge that has just begun", { timeout: 60_000 }, async () =>
  playInVlc(await youngEdge()),
);

test("VLC plays both tracks of MPEG-TS", { timeout: 60_000 }, () => playInVlc(urlOf(forms["MPEG-TS"])));
