// The `hearth` command: reads arguments, files and the environment, and hands them to the rooms.
import { parseArgs } from "node:util";
import { listenError } from "./api/listen.ts";
import { askedHelp, refusedArguments } from "./command-help.ts";
import { loadConfig, readServerXml, runCheck, runExplain } from "./config-commands.ts";
import { messageOf, SettingError, UsageError } from "./flow/errors.ts";
import { jsonLogger, type Logger, type LogLevel } from "./flow/logger.ts";
import type { NodeMessage } from "./node-message.ts";
import { startNode, type RunningNode } from "./node.ts";
import { systemClock } from "./time/clock.ts";

const usage = `hearth node --config Server.xml      runs a media node
hearth check Server.xml [--json]     says what is wrong or odd in a configuration
hearth explain URL --config Server.xml [--json]   says what becomes of a viewer's URL
hearth reload --config Server.xml [--json]        has the running node read its configuration again
hearth drain --config Server.xml [--no-wait]      has the running node move its viewers and exit; waits until it is gone
hearth probe rtsp://camera/live [--json]          says what a source offers and what is wrong with it
hearth token 'app/*' [--days 30]      a token for OvenMediaEngine edges (docs/interop.md)
hearth hls-check URL [--seconds 60] [--json]      judges an LL-HLS stream, Hearth's or any other, as a viewer sees it
hearth bridge [--port 8079]          serves Upstash's REST protocol in front of REDIS_URL
hearth simulate [--nodes 50 …]       runs a day of a cluster under the code that decides; --help lists its options
hearth dns NAME [--format zone|json] prints the addresses of all nodes that serve viewers now
hearth help                          prints this; hearth COMMAND --help says more of one`;

/** A node that closes lets go of its viewers and leases within this time. */
const closeTimeoutMs = 1_400;

try {
  await run(process.argv.slice(2));
} catch (thrown) {
  const isMistake = thrown instanceof SettingError || thrown instanceof RangeError;
  const refused = refusedArguments(process.argv[2], thrown);
  console.error(refused ?? (isMistake ? thrown.message : `hearth: ${messageOf(thrown)}`));
  // A script tells a file or a source that is wrong (1) from a question that made no sense (2).
  process.exit(refused !== undefined || thrown instanceof UsageError || isJudge(process.argv[2]) ? 2 : 1);
}

function isJudge(command: string | undefined): boolean {
  return ["check", "explain", "reload", "drain", "probe"].includes(command ?? "");
}

/** What a command alone needs is loaded when it is asked for: a node has no use for it. */
async function run([command, ...args]: string[]): Promise<void> {
  const help = askedHelp(command, args);
  if (help !== undefined) return console.log(help);
  if (command === "node") return runNode(args);
  if (command === "bridge") return runBridge(args);
  if (command === "check") return finish(runCheck(args));
  if (command === "explain") return finish(await runExplain(args));
  if (command === "reload") return finish(await (await import("./reload-command.ts")).runReload(args));
  if (command === "drain") return finish(await (await import("./drain-command.ts")).runDrain(args));
  if (command === "probe") return finish(await (await import("./probe-command.ts")).runProbe(args));
  if (command === "token") {
    const { runToken } = await import("./token-command.ts");
    const { output, advice } = await runToken(args, {
      secret: process.env["HEARTH_SECRET"],
      nowMs: systemClock.wallMs(),
    });
    process.stdout.write(output);
    process.stderr.write(advice);
    return;
  }
  if (command === "dns") {
    const { runDns } = await import("../infra/dns/dns-command.ts");
    const { stdout, stderr, exitCode } = await runDns(args, process.env);
    process.stderr.write(stderr);
    return finish({ output: stdout, exitCode });
  }
  if (command === "hls-check") {
    const { runHlsCheck } = await import("../infra/hls-check/command.ts");
    process.exitCode = await runHlsCheck(args);
    return;
  }
  if (command === "simulate") {
    const { simulate } = await import("../infra/simulate.ts");
    process.exitCode = await simulate(args);
    return;
  }
  if (command !== undefined && !["help", "--help", "-h"].includes(command)) {
    throw new UsageError(`hearth has no command "${command}".\n${usage}`);
  }
  console.log(usage);
}

function finish({ output, exitCode }: { readonly output: string; readonly exitCode: number }): void {
  process.stdout.write(output);
  process.exitCode = exitCode;
}

async function runNode(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { config: { type: "string" } } });
  if (values.config === undefined) throw new UsageError(`Which configuration?\n${usage}`);
  const path = values.config;
  const config = loadConfig(path, (line) => console.error(line));
  // Whoever takes the log may go; those who watch stay.
  for (const output of [process.stdout, process.stderr]) output.on("error", () => {});
  const logger = jsonLogger((line) => process.stdout.write(line), logLevel(process.env["HEARTH_LOG_LEVEL"]));
  const onMessage = (message: NodeMessage): void => void (process.connected && process.send?.(message));
  const readConfig = () => readServerXml(path);
  const starting = startNode({ config, env: process.env, clock: systemClock, logger, onMessage, readConfig });
  // From the first moment on: who started us may be gone, or change their mind, before the node serves.
  endWhenTold(starting, logger);
  // A terminal that closes must not end a node either.
  process.on("SIGHUP", () => void starting.then((node) => node.reload("SIGHUP")).catch(() => {}));
  const node = await starting;
  await node.drained;
  end(node, "drained", logger);
}

/**
 * SIGTERM moves the viewers elsewhere first; SIGINT (a terminal sends it to everybody) and the loss of the launcher end at
 * once. The same signal a second time does not even say good-bye.
 */
function endWhenTold(starting: Promise<RunningNode>, logger: Logger): void {
  const causes = new Set<string>();
  const onCause = (cause: string): void => {
    if (causes.has(cause)) process.exit(1);
    causes.add(cause);
    const isPatient = cause === "SIGTERM" && causes.size === 1;
    starting.then(
      (node) => (isPatient ? void node.drain() : end(node, cause, logger)),
      () => process.exit(1),
    );
    if (!isPatient) setTimeout(() => process.exit(0), closeTimeoutMs).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => onCause(signal));
  process.on("disconnect", () => onCause("launcher gone"));
  process.on("unhandledRejection", (reason) => logger.error("unhandled rejection", { error: messageOf(reason) }));
  process.on("uncaughtException", (thrown) => {
    logger.error("uncaught exception", { error: messageOf(thrown), stack: thrown.stack });
    process.exit(1);
  });
}

/** Closes the node and ends the process, whether or not everything could be closed in time. */
function end(node: RunningNode, cause: string, logger: Logger): void {
  setTimeout(() => process.exit(0), closeTimeoutMs).unref();
  node
    .close({ code: "shutdown", message: cause })
    .catch((thrown: unknown) => logger.error("closing failed", { error: messageOf(thrown) }))
    .finally(() => process.exit(0));
}

function logLevel(setting: string | undefined): LogLevel {
  if (!setting) return "info";
  const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
  const level = levels.find((known) => known === setting);
  if (level) return level;
  throw new SettingError(`HEARTH_LOG_LEVEL is "${setting}": choose one of ${levels.join(", ")}.`);
}

async function runBridge(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { port: { type: "string", default: "8079" } } });
  const redisUrl = process.env["REDIS_URL"];
  const token = process.env["UPSTASH_REDIS_REST_TOKEN"];
  if (!redisUrl || !token) {
    throw new SettingError("Set REDIS_URL (redis://host:6379) and UPSTASH_REDIS_REST_TOKEN (any long random text).");
  }
  // Set and empty counts as absent: an empty token would be everybody's.
  const readOnlyToken = process.env["HEARTH_BRIDGE_READ_ONLY_TOKEN"] || undefined;
  if (readOnlyToken === token) {
    throw new SettingError("HEARTH_BRIDGE_READ_ONLY_TOKEN must differ from UPSTASH_REDIS_REST_TOKEN, which may write.");
  }
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new SettingError(`--port is "${values.port}": give a port number from 0 to 65535.`);
  }
  const { startBridge } = await import("./stores/bridge.ts");
  const bridge = await startBridge({ port, redisUrl, token, readOnlyToken }).catch((error: NodeJS.ErrnoException) => {
    throw listenError(error, port, "--port");
  });
  console.log(`Hearth bridge serves ${bridge.url}`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => void bridge.close().finally(() => process.exit(0)));
  }
}
