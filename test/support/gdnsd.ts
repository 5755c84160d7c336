import { once } from "node:events";
import { spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { Resolver } from "node:dns/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repository } from "./command.ts";
import { until } from "./until.ts";

export interface Gdnsd {
  /** Asks this server and no other; nothing is remembered between questions. */
  readonly resolver: Resolver;
  close(): Promise<void>;
}

/**
 * A real gdnsd with the files of `infra/dns/gdnsd/`, but for what is the test's own: addresses, port, directories.
 * @param nodes addresses of the three edges, all at `healthPort`
 * @throws when there is no gdnsd, with the remedy
 */
export async function startGdnsd(nodes: readonly [string, string, string], healthPort: number): Promise<Gdnsd> {
  const directory = await mkdtemp(join(tmpdir(), "hearth-gdnsd-"));
  await cp(join(repository, "infra/dns/gdnsd"), directory, { recursive: true });
  const port = await freePort();
  const config = await readFile(join(directory, "config"), "utf8");
  await writeFile(
    join(directory, "config"),
    replaceEach(config, [
      ["listen => any", `listen => [ "127.0.0.1:${port}" ]\n  run_dir => ${directory}\n  state_dir => ${directory}`],
      ["port => 3333", `port => ${healthPort}`],
      ["192.0.2.1\n", `${nodes[0]}\n`],
      ["192.0.2.2\n", `${nodes[1]}\n`],
      ["192.0.2.3\n", `${nodes[2]}\n`],
    ]),
  );
  const child = spawn("gdnsd", ["-c", directory, "start"], { stdio: ["ignore", "ignore", "pipe"] });
  const exited = new Promise<Error | undefined>((resolve) => {
    child.once("error", () => resolve(new Error("There is no gdnsd: apt-get install gdnsd")));
    child.once("exit", () => resolve(undefined));
  });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (words += text));
  const close = async (): Promise<void> => {
    if (child.exitCode === null && child.pid !== undefined) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const failure = await Promise.race([
      exited.then((error) => error ?? new Error(`gdnsd ended: ${words}`)),
      until("gdnsd listens", 10_000, () => words.includes("DNS listeners started")).then(() => undefined),
    ]);
    if (failure) throw failure;
  } catch (thrown) {
    await close();
    throw thrown;
  }
  const resolver = new Resolver({ timeout: 1_000, tries: 2 });
  resolver.setServers([`127.0.0.1:${port}`]);
  return { resolver, close };
}

/** @throws when a text to replace is not there: then the shipped file has changed and is no longer what is tested */
function replaceEach(text: string, pairs: readonly (readonly [string, string])[]): string {
  return pairs.reduce((result, [from, to]) => {
    if (!result.includes(from)) throw new Error(`infra/dns/gdnsd/config has no ${JSON.stringify(from)}`);
    return result.replace(from, to);
  }, text);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}
