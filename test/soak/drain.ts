// One of three edges drains under 200 WebRTC and 300 LL-HLS viewers (arguments: how many of each), then five are restarted, two at a
// time, under half as many (a third argument: `one` or `five` for one of both alone). Nobody notices: 0 failed requests, 0 stalls,
// black p99 <= 1 s, all moved within 12 s, and no pause of the machine is an excuse. Scaled to two cores: the stream is the
// laptop's clip, 0.9 Mbit/s in parts of 0.2 s; viewers read everything, and decrypt a sample of it. Five edges have half the
// audience because two of them start while the others serve, a core's second each that on machines of their own is nobody else's.
import { drainOneOfThree, restartFive } from "../support/drain-trial.ts";

const [webRtc = 200, hls = 300] = process.argv.slice(2, 4).map(Number);
const which = process.argv[4];
const trial = { isExact: true, say: (line: string): void => console.log(`  ${line}`) };
if (which !== "five")
  console.log(`drain under ${webRtc} + ${hls}: ${await drainOneOfThree({ ...trial, webRtc, hls })}`);
if (which !== "one") {
  const half = { webRtc: Math.ceil(webRtc / 2), hls: Math.ceil(hls / 2) };
  console.log(`rolling restart under ${half.webRtc} + ${half.hls}: ${await restartFive({ ...trial, ...half })}`);
}
