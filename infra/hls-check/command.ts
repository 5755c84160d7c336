/** `hearth hls-check`: judges any LL-HLS stream by the rules of RFC 8216bis and CMAF, as a viewer sees it. */
import { parseArgs } from "node:util";
import type { Verdict } from "./checks.ts";
import { judgeHls } from "./judge.ts";

const usage = `hearth hls-check URL [--seconds 60] [--json] [--insecure]

  URL         a master playlist: https://host/app/stream/llhls.m3u8
  --seconds   how long to watch; rules about change over time need 60
  --insecure  takes any certificate

Exit code 1 when a rule is broken, 2 when the stream cannot be read.`;

const shownFaults = 5;

/** Runs the command with its own arguments; resolves with the exit code. */
export async function runHlsCheck(
  args: readonly string[],
  print: (line: string) => void = console.log,
): Promise<number> {
  let verdicts: readonly Verdict[];
  let isJson = false;
  let read = "";
  try {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
    const [url, ...more] = positionals;
    const seconds = Number(values.seconds);
    if (values.help || url === undefined || more.length > 0 || !(seconds > 0)) {
      print(usage);
      return values.help ? 0 : 2;
    }
    // For this process alone, which does nothing else; the thread that watches has its environment.
    if (values.insecure) process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
    isJson = values.json;
    if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
      print(`"${url}" is no URL of a playlist: give one such as https://host/app/stream/llhls.m3u8.`);
      return 2;
    }
    read = `${url} cannot be read: `;
    ({ verdicts } = await judgeHls(url, seconds));
  } catch (thrown) {
    print(`${read}${thrown instanceof Error ? thrown.message : String(thrown)}`);
    return 2;
  }
  const broken = verdicts.filter(({ faults }) => faults.length > 0);
  if (isJson) print(JSON.stringify({ isConformant: broken.length === 0, rules: verdicts }, undefined, 2));
  else for (const line of linesOf(verdicts)) print(line);
  return broken.length > 0 ? 1 : 0;
}

const options = {
  seconds: { type: "string", default: "60" },
  json: { type: "boolean", default: false },
  insecure: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

function linesOf(verdicts: readonly Verdict[]): string[] {
  return verdicts.flatMap(({ rule, faults }) => {
    const more = faults.length - shownFaults;
    return [
      `${faults.length === 0 ? "ok     " : "BROKEN "} ${rule}`,
      ...faults.slice(0, shownFaults).map((fault) => `          ${fault}`),
      ...(more > 0 ? [`          and ${more} more`] : []),
    ];
  });
}
