// A viewer whose every request goes to another edge, while an edge is killed and comes back.
import { test } from "node:test";
import { playRoundRobin } from "../support/round-robin-trial.ts";

test(
  "hls.js and ffmpeg play without a stall when every request goes to another edge",
  { timeout: 180_000 },
  async (t) => {
    t.diagnostic(await playRoundRobin({ seconds: 20, apartMs: 12_000 }));
  },
);
