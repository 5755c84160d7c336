// What does a decision among 1,000 rules cost in workerd, the runtime of the router? CPU time of its process for each choice of
// the virtual host, match of the last of 1,000 rules and building of the URLs, in requests of 50,000 decisions each, less what a
// request without any costs. Wanted: at most 20 µs a decision, as in Node (origin-map-1000-rules).
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { build, stop } from "esbuild";
import { startWorker } from "../../infra/laptop/worker.ts";

const decisions = 50_000;
const rounds = 5;
const wantedUs = 20;
const ticksPerSecond = 100;

/** Runs as many decisions as the query asks for, and answers with the last URL. */
const worker = `
import { buildUrls } from "./build-urls.ts";
import { chooseVhost } from "./choose-vhost.ts";
import { matchRule } from "./match-rule.ts";
const rules = Array.from({ length: 1_000 }, (_, number) => ({
  location: "/app/stream-" + String(number).padStart(4, "0"),
  scheme: "ovt",
  urls: ["origin-" + number + ".example.com:9000/app/stream", "backup.example.com:9000/app/stream"],
  forwardQueryParams: true, isStrict: false, isPersistent: false, hasFailback: false, isRelay: true,
  ignoresSenderReports: false,
}));
const config = { vhosts: [{ name: "main", hostNames: ["*.example.com"], origins: { rules } }] };
export default {
  fetch(request) {
    const count = Number(new URL(request.url).searchParams.get("decisions"));
    let url = "none";
    for (let left = count; left > 0; left--) {
      const choice = chooseVhost(config, "edge-7.example.com:8443");
      const match = matchRule(choice.vhost, "app", "stream-0999");
      url = buildUrls(match.rule, "app", "stream-0999", "token=abcdef&session=1")[0].url;
    }
    return new Response(url);
  },
};`;

const resolveDir = join(import.meta.dirname, "../../media-node/cluster/origin-map");
const { outputFiles } = await build({
  stdin: { contents: worker, resolveDir, loader: "js" },
  bundle: true,
  format: "esm",
  target: "es2024",
  write: false,
  logLevel: "silent",
});
await stop();
const running = await startWorker({ port: 0, vars: {}, script: outputFiles[0]!.text });

/** CPU seconds of workerd: the child of the process that starts it. */
function cpuSeconds(): number {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      // After the name in brackets: state is field 3, the parent 4, utime and stime 14 and 15.
      const [name, rest] = /\((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))!.slice(1) as [
        string,
        string,
      ];
      const fields = rest.split(" ");
      if (name === "workerd" && Number(fields[1]) === running.pid)
        return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
    } catch {
      // Gone meanwhile.
    }
  }
  throw new Error("workerd is not among the processes");
}

async function microseconds(count: number): Promise<number> {
  const before = cpuSeconds();
  const text = await (await fetch(`${running.url}/?decisions=${count}`)).text();
  if (count > 0) assert.equal(text, "ovt://origin-999.example.com:9000/app/stream?token=abcdef");
  return (cpuSeconds() - before) * 1e6;
}

try {
  await microseconds(decisions);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++)
    times.push(((await microseconds(decisions)) - (await microseconds(0))) / decisions);
  const median = times.toSorted((a, b) => a - b)[rounds >> 1]!;
  console.log(
    `origin-map-workerd: ${median.toFixed(2)} µs CPU a decision among 1,000 rules in workerd, wanted ${wantedUs}, load ${loadavg()[0]!.toFixed(1)}`,
  );
  assert.ok(median > 0 && median <= wantedUs, `wanted: at most ${wantedUs} µs`);
} finally {
  await running.close();
}
