// Subtitles in the player most pages use: hls.js in a real Chromium.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { chromium } from "playwright-core";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { openLoopSource } from "../../media-node/file/loop-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { playerFiles } from "../support/hls-player.ts";
import { startLlHlsNode, type LlHlsNode } from "../support/llhls-node.ts";

/** What the repository's clip lasts. */
const clipMs = 16_000;

/** In the middle of each second of the clip, which second it is. */
const vtt = `WEBVTT\nLanguage: en\nLabel: English\n\n${Array.from({ length: 16 }, (_, second) => {
  const at = `00:${String(second).padStart(2, "0")}`;
  return `${at}.250 --> ${at}.900 line:10%\nsecond ${second}\n`;
}).join("\n")}`;

async function withNode(use: (node: LlHlsNode) => Promise<void>): Promise<void> {
  const readClip = async (path: string): Promise<Uint8Array<ArrayBuffer>> =>
    new Uint8Array(path.endsWith(".vtt") ? Buffer.from(vtt) : await readFile("infra/laptop/loop.mp4"));
  const openFile = openLoopSource({ clock: systemClock, readFile: readClip });
  const open: typeof openFile = (_url, options) => openFile("file:///clip.mp4", options);
  const node = await startLlHlsNode({ open, page: playerFiles });
  try {
    await use(node);
  } finally {
    await node.close();
  }
}

/** Runs in the page: plays, shows the subtitles, and notes each cue with the time of day that belongs to its begin and to when it was shown. */
const watchScript = (url: string): string => `
  const hls = globalThis.hls = new Hls({ lowLatencyMode: true });
  const video = document.getElementById("v");
  const state = globalThis.state = { shown: [], errors: [] };
  const dateAt = (time) => hls.playingDate.getTime() + (time - video.currentTime) * 1000;
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push(data.details + " " + (data.error?.message ?? "")));
  video.addEventListener("playing", () => { hls.subtitleDisplay = true; hls.subtitleTrack = 0; }, { once: true });
  let last;
  const look = () => {
    const track = [...video.textTracks].find(({ mode }) => mode === "showing");
    const cue = track?.activeCues?.[0];
    if (cue && hls.playingDate && cue.text !== last) {
      last = cue.text;
      state.shown.push({ text: cue.text, label: track.label, language: track.language, line: cue.line,
        beginsMs: dateAt(cue.startTime), shownMs: dateAt(video.currentTime), count: track.activeCues.length });
    }
    requestAnimationFrame(look);
  };
  look();
  hls.loadSource(${JSON.stringify(url)});
  hls.attachMedia(video);
`;

interface Shown {
  readonly text: string;
  readonly label: string;
  readonly language: string;
  readonly line: number;
  readonly beginsMs: number;
  readonly shownMs: number;
  readonly count: number;
}

test("hls.js shows each cue at its time of the picture, low latency and all", { timeout: 60_000 }, async (t) => {
  await withNode(async (node) => {
    const browser = await chromium.launch({
      executablePath: "/usr/bin/chromium",
      args: ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
    });
    try {
      const tab = await browser.newPage();
      await tab.goto(`${node.baseUrl}/`);
      await tab.evaluate(watchScript(`${node.baseUrl}/app/stream/llhls.m3u8`));
      await tab.waitForFunction("state.shown.length >= 6", undefined, { timeout: 30_000 });
      const { shown, errors } = await tab.evaluate<{ shown: Shown[]; errors: string[] }>("state");
      t.diagnostic(JSON.stringify({ shown, errors, latency: await tab.evaluate("hls.latency") }));
      // To choose a track is to give up what was being loaded.
      assert.deepEqual(
        errors.filter((error) => !error.startsWith("aborted")),
        [],
      );
      const seconds: number[] = [];
      for (const { text, label, language, line, beginsMs, shownMs, count } of shown) {
        assert.deepEqual([label, language, line, count], ["English", "en", 10, 1]);
        const second = Number(/^second (\d+)$/.exec(text)?.[1]);
        const inClip = (dateMs: number): number => (dateMs - hearthEpochMs) % clipMs;
        assert.ok(Math.abs(inClip(beginsMs) - second * 1_000 - 250) < 50, `${text} begins at ${inClip(beginsMs)}`);
        assert.equal(Math.floor(inClip(shownMs + 20) / 1_000), second, `${text} is shown at ${inClip(shownMs)}`);
        seconds.push(second);
      }
      // Each second once, none left out.
      assert.deepEqual(
        seconds,
        seconds.map((_, index) => (seconds[0]! + index) % 16),
      );
    } finally {
      await browser.close();
    }
  });
});
