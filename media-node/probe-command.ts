import { parseArgs } from "node:util";
import { dialTcp, dialTls } from "./dial.ts";
import { SettingError } from "./flow/errors.ts";
import { silentLogger } from "./flow/logger.ts";
import { probeRtsp } from "./rtsp/probe-rtsp.ts";
import { systemClock } from "./time/clock.ts";

const labels = { offers: "it has", plan: "we do", problem: "problem" };

/**
 * `hearth probe rtsp://camera/live [--json]`: pulls for a few seconds and says in plain words what would become of it.
 * @returns what to print and the exit code: 0 playable, 1 not
 * @throws {SettingError} when the arguments make no sense
 */
export async function runProbe(args: string[]): Promise<{ readonly output: string; readonly exitCode: number }> {
  const { values, positionals } = parseArgs({ args, allowPositionals: true, options: { json: { type: "boolean" } } });
  const [url = ""] = positionals;
  if (positionals.length !== 1 || !/^rtsps?:\/\//i.test(url)) {
    throw new SettingError("Which source? hearth probe rtsp://user:password@camera/live");
  }
  const { signal } = new AbortController();
  // The clock's timers do not keep a process alive, and between two connections nothing else does.
  const keepAlive = setInterval(() => {}, 60_000);
  const options = { dial: dialTcp, dialTls, clock: systemClock, logger: silentLogger, signal };
  const probe = await probeRtsp(url, options).finally(() => clearInterval(keepAlive));
  const exitCode = probe.isPlayable ? 0 : 1;
  if (values.json) return { output: `${JSON.stringify(probe, null, 2)}\n`, exitCode };
  const findings = probe.findings.map(({ kind, text }) => `${labels[kind].padEnd(9)}${text}`);
  return { output: `${[...findings, probe.isPlayable ? "It plays." : "It does not play."].join("\n")}\n`, exitCode };
}
