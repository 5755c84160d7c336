/** What `hearth COMMAND --help` prints, for the commands that have no longer text of their own (`simulate`, `hls-check`). */
const helpOf: ReadonlyMap<string, string> = new Map([
  [
    "node",
    `hearth node --config Server.xml

Runs a media node until SIGTERM (moves the viewers first) or SIGINT (at once); SIGHUP reads the file again.
HEARTH_LOG_LEVEL is debug, info, warn or error. Ends with 1 when it cannot start; "hearth check Server.xml" says more.`,
  ],
  [
    "check",
    `hearth check Server.xml [--json] [--strict]

  --json    prints what was found as JSON
  --strict  a warning counts as an error

Ends with 0 when a node would start with the file, 1 when not, 2 when the file cannot be read.`,
  ],
  [
    "explain",
    `hearth explain URL --config Server.xml [--json]

  URL       as a viewer has it: http://host/app/stream

Asks the store that the file, or REDIS_URL, names. Ends with 0 when there is something to serve or to pull, 1 when not,
2 when it cannot be said.`,
  ],
  [
    "reload",
    `hearth reload --config Server.xml | --port N [--json]

  --config  the node's file, which names its OperatorPort
  --port    the node's OperatorPort

Sends HEARTH_OPERATOR_TOKEN where it is set. Ends with 0 when the file is in force, 1 when the former one holds, 2 when
the node cannot be asked.`,
  ],
  [
    "drain",
    `hearth drain --config Server.xml | --port N [--no-wait] [--json]

  --config   the node's file, which names its OperatorPort
  --port     the node's OperatorPort
  --no-wait  returns when the drain has begun

Sends HEARTH_OPERATOR_TOKEN where it is set. Ends with 0 when no viewer was left, 1 when some were, 2 when the node cannot
be asked.`,
  ],
  [
    "probe",
    `hearth probe rtsp://user:password@camera/live [--json]

Pulls for a few seconds. Ends with 0 when the source plays, 1 when not, 2 when the URL is none.`,
  ],
  [
    "token",
    `hearth token app/stream | 'app/*' | '*' [--days 30]

Prints a token for an OvenMediaEngine edge (docs/interop.md). Reads HEARTH_SECRET, which must be the origin's.`,
  ],
  [
    "bridge",
    `hearth bridge [--port 8079]

Reads REDIS_URL and UPSTASH_REDIS_REST_TOKEN, and HEARTH_BRIDGE_READ_ONLY_TOKEN where somebody may only read.`,
  ],
  [
    "dns",
    `hearth dns NAME [--zone example.com] [--ttl 30] [--format zone|json]

Reads REDIS_URL, and HEARTH_SECRET where the cluster has one. Ends with 1, and prints no record, when no node serves or the
store is silent (docs/deploy-dns.md).`,
  ],
]);

/** The help that was asked for with `--help` or `-h` before any `--`, or undefined: the command runs. */
export function askedHelp(command: string | undefined, args: readonly string[]): string | undefined {
  const end = args.indexOf("--");
  const options = end < 0 ? args : args.slice(0, end);
  return options.includes("--help") || options.includes("-h") ? helpOf.get(command ?? "") : undefined;
}

/**
 * What to say of arguments that `parseArgs` of node:util refused, with the command's help.
 * @returns undefined when something else was thrown
 */
export function refusedArguments(command: string | undefined, thrown: unknown): string | undefined {
  const code: unknown = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  if (typeof code !== "string" || !code.startsWith("ERR_PARSE_ARGS_")) return undefined;
  // The advice that follows an unknown option is about file names that begin with a dash.
  const [reason = ""] = (thrown as Error).message.split(". To specify a positional");
  const help = helpOf.get(command ?? "");
  return [`hearth ${command}: ${reason}`, ...(help ? ["", help] : [])].join("\n");
}
