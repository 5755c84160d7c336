// `npm run bench` lists the benchmarks; `npm run bench -- NAME` runs one: one question, one ratio.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const folder = import.meta.dirname;
/** A benchmark says in its first line which question it asks; what has no such line belongs to one that does. */
const questions = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith(".ts") && file !== "run.ts")
    .flatMap((file): [string, string][] => {
      const question = /^\/\/ (.*\?)/.exec(readFileSync(join(folder, file), "utf8"))?.[1];
      return question ? [[file.slice(0, -3), question]] : [];
    }),
);

const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  const width = Math.max(...[...questions.keys()].map((key) => key.length));
  for (const [key, question] of questions) console.log(`${key.padEnd(width)}  ${question}`);
} else if (questions.has(name)) {
  process.exitCode =
    spawnSync(process.execPath, [join(folder, `${name}.ts`), ...args], { stdio: "inherit" }).status ?? 1;
} else {
  console.error(`There is no benchmark "${name}". There are: ${[...questions.keys()].join(", ")}.`);
  process.exitCode = 1;
}
