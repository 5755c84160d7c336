// Runs on any Node.js ≥ 18, so plain JavaScript: brings the locked Node 24 where the machine's is older.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const wantedMajor = 24;

const remedy =
  `Hearth needs Node.js ${wantedMajor} or newer, and this is ${process.versions.node}. ` +
  `Install Node.js ${wantedMajor} (https://nodejs.org), or run "npm ci" again with network access and install scripts on.`;

if (Number(process.versions.node.split(".")[0]) >= wantedMajor) process.exit(0);
if (process.platform !== "linux") fail(remedy);

const home = join(root, "infra", "node24");
const npm = process.env.npm_execpath;
const [command, ...before] = npm?.endsWith(".js") ? [process.execPath, npm] : ["npm"];
const installed = spawnSync(
  command,
  [...before, "ci", "--prefix", home, "--ignore-scripts", "--no-audit", "--no-fund"],
  {
    cwd: home,
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, npm_config_global: "", npm_config_omit: "" },
  },
);
const binary = join(home, "node_modules", ".bin", "node");
if (installed.status !== 0 || !existsSync(binary)) fail(remedy);

const link = join(root, "node_modules", ".bin", "node");
mkdirSync(dirname(link), { recursive: true });
rmSync(link, { force: true });
symlinkSync(binary, link);

/** @param {string} sentence what is missing, and what to do about it */
function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
