#!/usr/bin/env node
// The `hearth` command. Plain JavaScript, so that an old Node.js can still say what is wrong.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const main = join(root, "media-node", "main.ts");

if (Number(process.versions.node.split(".")[0]) >= 24) {
  await import(main);
} else {
  const newer = join(root, "node_modules", ".bin", "node");
  if (!existsSync(newer)) {
    console.error(
      `Hearth needs Node.js 24 or newer, and this is ${process.versions.node}. Install it from https://nodejs.org, ` +
        'or run "npm ci" in the repository with install scripts on.',
    );
    process.exit(1);
  }
  const child = spawn(newer, [main, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}
