import { readFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type Page } from "playwright-core";
import { runProgram } from "./ffmpeg.ts";

/** What a viewer saw. */
export interface Playback {
  /** Seconds on the player's timeline. */
  readonly time: number;
  readonly frames: number;
  /** Times the player ran dry after it had begun. */
  readonly stalls: number;
  readonly errors: readonly string[];
  /** Seconds behind live, as hls.js measures it. */
  readonly latency: number;
  readonly startMs: number;
  /** Once a second: how far the picture is behind the clock of its source, in seconds. */
  readonly behind: readonly number[];
  /**
   * At the same times: how much further behind, in seconds, a clip is by now that plays in the same page and was there as a whole
   * before it began. A browser that has to do without a core for a moment plays everything later from then on.
   */
  readonly lost: readonly number[];
}

const page = `<!doctype html><video id=v muted autoplay playsinline width=320></video><video id=c muted playsinline></video><script src="/hls.js"></script>`;

/** The page that {@link playInChromium} opens at `/`, and its script: serve it beside the stream. */
export function playerFiles(path: string): { type: string; body: string } | undefined {
  if (path === "/") return { type: "text/html", body: page };
  if (path !== "/hls.js") return undefined;
  return { type: "text/javascript", body: readFileSync("node_modules/hls.js/dist/hls.min.js", "utf8") };
}

/** Runs in the page. */
const startScript = (url: string, control: string): string => `
  const control = document.getElementById("c");
  control.src = ${JSON.stringify(control)};
  void control.play();
  const hls = globalThis.hls = new Hls({ lowLatencyMode: true });
  const video = document.getElementById("v");
  const state = globalThis.state = { stalls: 0, errors: [], startedMs: performance.now(), playingMs: 0, behind: [], lost: [] };
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push([data.details, data.response?.code, data.fatal && "fatal",
    data.frag?.relurl, data.part?.relurl, data.context?.url, data.error?.message].filter(Boolean).join(" ")));
  video.addEventListener("playing", () => (state.playingMs ||= performance.now()));
  video.addEventListener("waiting", () => state.playingMs && state.stalls++);
  const ahead = () => performance.now() / 1000 - control.currentTime;
  let atFirst;
  setInterval(() => {
    if (!hls.playingDate) return;
    state.behind.push((Date.now() - hls.playingDate.getTime()) / 1000);
    state.lost.push(ahead() - (atFirst ??= ahead()));
  }, 1000);
  hls.loadSource(${JSON.stringify(url)});
  hls.attachMedia(video);
`;

/** @returns URL of a clip of one colour, silent */
async function stillClip(seconds: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-clip-"));
  try {
    const file = join(folder, "still.mp4");
    const sources = "-v error -f lavfi -i color=s=64x64:r=25 -f lavfi -i anullsrc=r=8000:cl=mono";
    const coding = `-t ${seconds} -c:v libx264 -preset ultrafast -c:a aac -movflags +faststart`;
    const { code, stderr } = await runProgram("ffmpeg", [...`${sources} ${coding}`.split(" "), file]);
    if (code !== 0) throw new Error(`ffmpeg: ${stderr}`);
    return `data:video/mp4;base64,${(await readFile(file)).toString("base64")}`;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function play(tab: Page, url: string, seconds: number): Promise<Playback> {
  const until = (condition: string, timeout: number) => tab.waitForFunction(condition, undefined, { timeout });
  await tab.evaluate(startScript(url, await stillClip(2 * seconds + 60)));
  await until("state.playingMs > 0 && document.getElementById('v').currentTime > 0", 20_000);
  const from = Number(await tab.evaluate("document.getElementById('v').currentTime"));
  await until(`document.getElementById('v').currentTime >= ${from + seconds}`, seconds * 2_000);
  return tab.evaluate(`({
    time: document.getElementById('v').currentTime,
    frames: document.getElementById('v').getVideoPlaybackQuality().totalVideoFrames,
    stalls: state.stalls, errors: state.errors, latency: hls.latency, startMs: state.playingMs - state.startedMs,
    behind: state.behind, lost: state.lost,
  })`);
}

/** Plays `{baseUrl}/app/stream/{file}` with hls.js in low-latency mode for `seconds` from the first frame on. */
export async function playInChromium(baseUrl: string, seconds: number, file = "llhls.m3u8"): Promise<Playback> {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
  });
  try {
    const tab = await browser.newPage();
    await tab.goto(`${baseUrl}/`);
    return await play(tab, `${baseUrl}/app/stream/${file}`, seconds);
  } finally {
    await browser.close();
  }
}
