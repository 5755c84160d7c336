// Every request of hls.js and ffmpeg goes to another of two edges that joined 30 s apart, for ten minutes, while one is killed and
// comes back: no answer but 200, no stall, the same bytes everywhere, at most 1.5 s behind live, and no drift.
import { playRoundRobin } from "../support/round-robin-trial.ts";

const seconds = Number(process.argv[2] ?? 600);
console.log(`round-robin: ${await playRoundRobin({ seconds, apartMs: 30_000, maxBehindSeconds: 1.5 })}`);
