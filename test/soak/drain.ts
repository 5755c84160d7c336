// One of three edges drains under 200 WebRTC and 300 LL-HLS viewers (arguments: how many of each), then five are restarted under
// a tenth of them: nobody notices. Wanted: 0 failed requests, 0 stalls, black p99 <= 1 s, all moved within 12 s.
import { drainOneOfThree, restartFive } from "../support/drain-trial.ts";

const [webRtc = 200, hls = 300] = process.argv.slice(2).map(Number);
const say = (line: string): void => console.log(`  ${line}`);
console.log(`drain: ${await drainOneOfThree({ webRtc, hls, say })}`);
console.log(`rolling restart: ${await restartFive({ webRtc: Math.ceil(webRtc / 10), hls: Math.ceil(hls / 10), say })}`);
