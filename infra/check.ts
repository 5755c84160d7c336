// One meaning of "checked": types, lint, format, dead code, architecture.
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const bin = (name: string): string => join(root, "node_modules", ".bin", name);

const checks: { name: string; command: string; args: string[] }[] = [
  { name: "types of the media node", command: bin("tsc"), args: ["-p", "."] },
  { name: "types of the Worker", command: bin("tsc"), args: ["-p", "functions"] },
  { name: "lint", command: bin("oxlint"), args: ["--type-aware"] },
  { name: "format", command: bin("prettier"), args: ["--check", "--log-level=warn", "."] },
  { name: "dead code", command: bin("knip"), args: ["--no-progress"] },
  { name: "architecture", command: process.execPath, args: ["--test", "test/architecture.test.ts"] },
];

const failed = checks.filter(({ name, command, args }) => {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  console.log(`${status === 0 ? "✔" : "✖"} ${name}`);
  if (status !== 0) console.log(`${stdout}${stderr}`.trimEnd());
  return status !== 0;
});
process.exit(failed.length > 0 ? 1 : 0);
