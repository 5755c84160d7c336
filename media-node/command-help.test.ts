import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { askedHelp } from "./command-help.ts";

const main = join(import.meta.dirname, "main.ts");

function hearth(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
  });
}

test("every command that is listed says more of itself with --help, and ends with 0", async () => {
  const { code, stdout } = await hearth("-h");
  assert.equal(code, 0);
  const commands = new Set([...stdout.matchAll(/^hearth ([a-z-]+)/gm)].map(([, name = ""]) => name));
  commands.delete("help");
  assert.ok(commands.size >= 11);
  const answers = await Promise.all(
    // These two have their own; the others share one table, tried through the process once below.
    ["simulate", "hls-check", "drain"].map(async (name) => ({ name, ...(await hearth(name, "--help")) })),
  );
  for (const { name, code: end, stdout: help } of answers) {
    assert.equal(end, 0, name);
    assert.match(help, new RegExp(`^hearth ${name} `), name);
    commands.delete(name);
  }
  for (const name of commands) assert.match(askedHelp(name, ["--help"]) ?? "", new RegExp(`^hearth ${name} `), name);
});

test("an option is no question for help where it stands behind --", () => {
  assert.equal(askedHelp("check", ["--", "-h"]), undefined);
  assert.equal(askedHelp("check", ["Server.xml"]), undefined);
});

test("help names every option that the command takes", () => {
  const files = { check: "config-commands", reload: "reload-command", drain: "drain-command", token: "token-command" };
  for (const [command, file] of Object.entries(files)) {
    const source = readFileSync(join(import.meta.dirname, `${file}.ts`), "utf8");
    const options = [...source.matchAll(/"?([a-z-]+)"?: \{ type: "(?:string|boolean)"/g)].map(([, name = ""]) => name);
    assert.ok(options.length > 0, file);
    const help = [command, ...(command === "check" ? ["explain"] : [])].map((name) => askedHelp(name, ["-h"])).join();
    for (const option of options) assert.ok(help.includes(`--${option}`), `${command} --${option}`);
  }
});

test("an unknown option is named with the command's help, and ends with 2 whichever command it is", async () => {
  const answers = await Promise.all(["node", "check", "dns"].map((name) => hearth(name, "--nonsense")));
  for (const { code, stderr } of answers) {
    assert.equal(code, 2);
    assert.match(stderr, /^hearth (?:node|check|dns): Unknown option '--nonsense'\n\nhearth /);
    assert.doesNotMatch(stderr, /positional argument|\n {4}at /);
  }
});

test("a command that there is not, and one without what it needs, end with 2", async () => {
  const asked = [["nonsense"], ["node"], ["token"], ["dns"]];
  const answers = await Promise.all(asked.map((args) => hearth(...args)));
  assert.deepEqual(
    answers.map(({ code }) => code),
    [2, 2, 2, 2],
  );
  for (const { stderr } of answers) assert.match(stderr, /hearth (?:node|token|NAME|dns)/);
});

test("a source that is no RTSP URL is a question without sense (2), not a source that does not play (1)", async () => {
  const { code, stderr } = await hearth("probe", "http://camera/live");
  assert.equal(code, 2);
  assert.match(stderr, /hearth probe rtsp:/);
});
