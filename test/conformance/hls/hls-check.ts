// hls-check URL [seconds]: judges any LL-HLS stream by the rules in checks.ts; exit code 1 when one is broken.
import { checkHls } from "./checks.ts";
import { observeHls } from "./observe.ts";

const [url, seconds = "60"] = process.argv.slice(2);
if (url === undefined) {
  process.stderr.write("usage: hls-check https://host/app/stream/llhls.m3u8 [seconds]\n");
  process.exit(2);
}
const verdicts = checkHls(await observeHls(url, Number(seconds)));
for (const { rule, faults } of verdicts) {
  process.stdout.write(`${faults.length === 0 ? "ok     " : "BROKEN "} ${rule}\n`);
  for (const fault of faults.slice(0, 5)) process.stdout.write(`          ${fault}\n`);
}
process.exitCode = verdicts.some(({ faults }) => faults.length > 0) ? 1 : 0;
