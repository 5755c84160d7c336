// `npm start [-- rtsp://camera/path]`: the whole cluster on this machine, until a signal ends it.
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf, SettingError } from "../../media-node/flow/errors.ts";
import { startLaptopCluster, type LaptopCluster } from "./cluster.ts";
import { LogFile } from "./log-file.ts";

// Once after an install, so that this file's code and what it loads is kept before four processes need it at once.
if (process.argv[2] === "--compile") process.exit();

/** After a signal everything has to be gone within two seconds. */
const exitTimeoutMs = 1_900;

const log = new LogFile();
let cluster: Promise<LaptopCluster> | undefined;
let isEnding = false;

for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void end(0));
// npm and shells do not always pass signals on: when whoever started us is gone, so are we.
const parent = Number(process.env["HEARTH_LAUNCHED_BY"] ?? process.ppid);
setInterval(() => process.ppid !== parent && void end(0), 250);

try {
  cluster = startLaptopCluster({
    routerPort: portOf(process.env["HEARTH_ROUTER_PORT"]),
    sourceUrl: sourceOf(process.argv.slice(2)),
    redisUrl: process.env["REDIS_URL"] || undefined,
    secret: process.env["HEARTH_SECRET"] || undefined,
    onLog: (_node, text) => log.write(text),
  });
  const { url, failed } = await cluster;
  log.open(join(tmpdir(), `hearth-${new URL(url).port}.log`));
  void failed.then((sentence) => {
    if (!isEnding) console.error(sentence);
    return end(1);
  });
  // Ended while it started: say nothing that is not true any more.
  if (!isEnding) console.log(`Hearth is ready: ${url}/`);
} catch (thrown) {
  if (!isEnding) {
    console.error(thrown instanceof SettingError ? thrown.message : `Hearth cannot start: ${messageOf(thrown)}`);
    process.exit(1);
  }
}

async function end(code: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  setTimeout(() => process.exit(code), exitTimeoutMs).unref();
  await cluster?.then((running) => running.close()).catch(() => {});
  process.exit(code);
}

function portOf(setting: string | undefined): number {
  if (!setting) return 8787;
  const port = Number(setting);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  console.error(`HEARTH_ROUTER_PORT is "${setting}": give a port number from 0 to 65535.`);
  return process.exit(1);
}

function sourceOf(args: string[]): string | undefined {
  if (args.length <= 1) return args[0];
  console.error(`One source at most, and these are ${args.length}: ${args.join(" ")}`);
  return process.exit(1);
}
