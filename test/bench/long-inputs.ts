// Does a parser take longer over a long input than its length says? Runs of one character, of many kinds, are put into every fuzz
// target's seeds; wanted: four times the length takes at most eight times as long. One slow expression holds up everybody on
// the thread. Arguments: names of targets (default: all).
import assert from "node:assert/strict";
import { loadFuzzTargets, type FuzzTarget } from "../support/fuzz-targets.ts";

const single = "\0 \t\n=/:,;\"'&?%.-<[{(a0_@#|\\$~\x80";
const runs = [...single.split(""), "a=b;", "a,", "\r\n", " a", "a:1\r\n", '\\"'];
const [short, long] = [8_192, 32_768];
const most = 8;
/** Below it a clock says little. */
const leastMs = 15;
/** Their harnesses compare what comes out with what went in, which holds for inputs within the bounds of their callers. */
const inputsAreShort = new Set(["packetizers", "webvtt"]);
const secondsEach = 6;

interface Slow {
  readonly ratio: number;
  readonly text: string;
}

/** CPU time, ms; the least of some, as others use the machine, too. */
function costOf(fuzz: FuzzTarget["fuzz"], input: Uint8Array, times: number): number {
  const each = Array.from({ length: times }, () => {
    const before = process.cpuUsage();
    fuzz(input);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000;
  });
  return Math.min(...each);
}

function slowest({ name, fuzz, seeds }: FuzzTarget): Slow {
  let worst: Slow = { ratio: 0, text: `${name}: nothing took ${leastMs} ms` };
  const endMs = performance.now() + secondsEach * 1_000;
  for (const share of [1, 0.5, 0.8, 0.25]) {
    for (const run of runs) {
      for (const seed of [new Uint8Array(0), ...seeds]) {
        if (performance.now() > endMs) return worst;
        const at = Math.floor(seed.length * share);
        const inputOf = (length: number): Uint8Array =>
          Buffer.concat([
            seed.subarray(0, at),
            Buffer.from(run.repeat(length / run.length), "latin1"),
            Buffer.from("\x7f"),
            seed.subarray(at),
          ]);
        if (costOf(fuzz, inputOf(long), 1) < leastMs) continue;
        const cost = costOf(fuzz, inputOf(long), 3);
        const ratio = cost / Math.max(costOf(fuzz, inputOf(short), 3), leastMs / most);
        if (ratio <= worst.ratio) continue;
        const place = `${JSON.stringify(run)} after ${JSON.stringify(Buffer.from(seed.subarray(0, at)).toString("latin1").slice(-30))}`;
        worst = { ratio, text: `${name}: ${ratio.toFixed(1)} times, ${cost.toFixed(0)} ms: ${place}` };
      }
    }
  }
  return worst;
}

const asked = process.argv.slice(2);
const all = (await loadFuzzTargets()).filter(({ name }) => !inputsAreShort.has(name));
const targets = asked.length > 0 ? all.filter(({ name }) => asked.includes(name)) : all;
assert.ok(targets.length > 0, `there is no ${asked.join(" or ")}`);
const found = targets.map((target) => slowest(target));
const slow = found.filter(({ ratio }) => ratio > most);
for (const { text } of slow) console.log(text);
const worst = found.reduce((most_, one) => (one.ratio > most_.ratio ? one : most_));
console.log(`long-inputs: ${worst.ratio.toFixed(1)} times as long for 4 times the length, at most (wanted: ${most})`);
assert.equal(slow.length, 0, "a parser's time grows faster than its input");
