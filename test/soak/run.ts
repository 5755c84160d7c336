// `npm run soak` lists the long runs; `npm run soak -- NAME [COUNT]` runs one.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";

const folder = import.meta.dirname;
const names = readdirSync(folder).flatMap((file) =>
  (/^(.*)\.ts$/.exec(file)?.[1] ?? "run") === "run" ? [] : [file.slice(0, -3)],
);
const [name, ...args] = process.argv.slice(2);
if (name === undefined) console.log(names.join("\n"));
else if (names.includes(name)) {
  process.exitCode =
    spawnSync(process.execPath, [join(folder, `${name}.ts`), ...args], { stdio: "inherit" }).status ?? 1;
} else {
  console.error(`There is no long run "${name}". There are: ${names.join(", ")}.`);
  process.exitCode = 1;
}
