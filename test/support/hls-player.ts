import { readFileSync } from "node:fs";
import { chromium, type Page } from "playwright-core";

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
}

const page = `<!doctype html><video id=v muted autoplay playsinline width=320></video><script src="/hls.js"></script>`;

/** The page that {@link playInChromium} opens at `/`, and its script: serve it beside the stream. */
export function playerFiles(path: string): { type: string; body: string } | undefined {
  if (path === "/") return { type: "text/html", body: page };
  if (path !== "/hls.js") return undefined;
  return { type: "text/javascript", body: readFileSync("node_modules/hls.js/dist/hls.min.js", "utf8") };
}

/** Runs in the page. */
const startScript = (url: string): string => `
  const hls = globalThis.hls = new Hls({ lowLatencyMode: true });
  const video = document.getElementById("v");
  const state = globalThis.state = { stalls: 0, errors: [], startedMs: performance.now(), playingMs: 0, behind: [] };
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push([data.details, data.response?.code, data.fatal && "fatal",
    data.frag?.relurl, data.part?.relurl, data.context?.url, data.error?.message].filter(Boolean).join(" ")));
  video.addEventListener("playing", () => (state.playingMs ||= performance.now()));
  video.addEventListener("waiting", () => state.playingMs && state.stalls++);
  setInterval(() => hls.playingDate && state.behind.push((Date.now() - hls.playingDate.getTime()) / 1000), 1000);
  hls.loadSource(${JSON.stringify(url)});
  hls.attachMedia(video);
`;

async function play(tab: Page, url: string, seconds: number): Promise<Playback> {
  const until = (condition: string, timeout: number) => tab.waitForFunction(condition, undefined, { timeout });
  await tab.evaluate(startScript(url));
  await until("state.playingMs > 0 && document.getElementById('v').currentTime > 0", 20_000);
  const from = Number(await tab.evaluate("document.getElementById('v').currentTime"));
  await until(`document.getElementById('v').currentTime >= ${from + seconds}`, seconds * 2_000);
  return tab.evaluate(`({
    time: document.getElementById('v').currentTime,
    frames: document.getElementById('v').getVideoPlaybackQuality().totalVideoFrames,
    stalls: state.stalls, errors: state.errors, latency: hls.latency, startMs: state.playingMs - state.startedMs, behind: state.behind,
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
