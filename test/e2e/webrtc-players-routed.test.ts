// Players that decode no H.264, through the router to an edge that pulls VP8 from an origin.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { openFirefox } from "../support/firefox.ts";
import { ownAddress } from "../support/own-address.ts";
import { servePages } from "../support/page-server.ts";
import { startRtspServer, type RtspServerProcess } from "../support/rtsp-server.ts";
import { until } from "../support/until.ts";

const script = fileURLToPath(new URL("../support/wrtc-player.ts", import.meta.url));
const opus = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay name=pay1 pt=97";
const vp8 =
  "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! " +
  "vp8enc deadline=1 keyframe-max-dist=25 ! rtpvp8pay name=pay0 pt=96";

let camera: RtspServerProcess;
let cluster: LaptopCluster;

before(async () => {
  camera = await startRtspServer("--mount", "/vp8-opus", `${vp8} ${opus}`);
  cluster = await startLaptopCluster({
    routerPort: 0,
    edges: 1,
    sourceUrl: `rtsp://127.0.0.1:${camera.port}/vp8-opus`,
    // Firefox uses no loopback address.
    nodeEnv: { HEARTH_IP: "*", HEARTH_MEDIA_ADDRESS: ownAddress() },
  });
});

after(async () => {
  await cluster?.close();
  await camera?.close();
});

const endpoint = (): string => `${cluster.url}/app/stream/whep`;

interface FirefoxStats {
  readonly framesDecoded: number;
  readonly audioSamples: number;
}

/** Whose players play at the same time: ten seconds are spent once. */
const concurrently = { concurrency: true };

test(
  "@roamhq/wrtc and Firefox decode 200 pictures in VP8 and their sound through the router",
  concurrently,
  async (t) => {
    await Promise.all([
      t.test("@roamhq/wrtc, by AES-CM", async (c) => {
        const player = spawn(process.execPath, [script, endpoint(), "200"], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        const exited = once(player, "exit");
        const [line] = await Promise.race([once(createInterface(player.stdout), "line"), exited]);
        const played: { pictures: number; sounds: number; deleted: number; soundsMeanwhile: number } = JSON.parse(
          String(line),
        );
        c.diagnostic(String(line));
        assert.ok(played.pictures >= 200 && played.sounds >= 400, String(line));
        // Blocks of 10 ms: ten seconds by the sound that was heard meanwhile.
        assert.ok((played.pictures * 1_000) / played.soundsMeanwhile >= 200, String(line));
        assert.equal(played.deleted, 200, "DELETE ended the session");
        await exited;
      }),
      t.test("Firefox, whose H.264 is a plug-in that it downloads at run time", async (c) => {
        await using pages = await servePages();
        await using firefox = await openFirefox();
        const page = await firefox.open(`${pages.url}/whep.html?endpoint=${endpoint()}`);
        const statsOf = async (): Promise<FirefoxStats> => (await page.evaluate("stats()")) as FirefoxStats;
        const first = await until("the first picture is decoded", 40_000, async () => {
          const now = await statsOf();
          return now.framesDecoded > 0 ? now : undefined;
        });
        const stats = await until("200 pictures are decoded", 40_000, async () => {
          const now = await statsOf();
          return now.framesDecoded >= 200 ? now : undefined;
        });
        c.diagnostic(`${JSON.stringify(first)} ${JSON.stringify(stats)}`);
        assert.ok(stats.audioSamples > 3 * 48_000, JSON.stringify(stats));
        // Ten seconds by the sound that was heard meanwhile: the player's own clock, and the stream's.
        const perTenSeconds =
          ((stats.framesDecoded - first.framesDecoded) * 480_000) / (stats.audioSamples - first.audioSamples);
        assert.ok(perTenSeconds >= 200, `${perTenSeconds} pictures in ten seconds`);
        assert.equal(await page.evaluate("state.redirected"), true);
        const location = String(await page.evaluate("state.location"));
        assert.equal((await fetch(location, { method: "DELETE" })).status, 200);
      }),
    ]);
  },
);
