// One meaning of "checked": types, lint, format, dead code, architecture.
import { spawn } from "node:child_process";
import { once } from "node:events";
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

/** Some use one core only, so that all of them at once take two thirds of the time. */
const results = await Promise.all(
  checks.map(async ({ command, args }) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const output of [child.stdout, child.stderr]) output.setEncoding("utf8").on("data", (text) => (said += text));
    const [status] = (await once(child, "close")) as [number | null];
    return { status, said };
  }),
);
for (const [index, { name }] of checks.entries()) {
  const { status, said } = results[index]!;
  console.log(`${status === 0 ? "✔" : "✖"} ${name}`);
  if (status !== 0) console.log(said.trimEnd());
}
process.exit(results.some(({ status }) => status !== 0) ? 1 : 0);
