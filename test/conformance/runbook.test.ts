// Every alert leads to a heading of the runbook; every page, file, setting and command the documents name is there.
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const anchorsOf = (markdown: string): Set<string> =>
  new Set(
    [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replaceAll(/[^\w -]/g, "")
        .replaceAll(" ", "-"),
    ),
  );

test("every alert names a heading of the runbook", () => {
  const rules = readFileSync("infra/prometheus/rules.yaml", "utf8");
  const links = [...rules.matchAll(/runbook: "docs\/runbook\.md#([^"]+)"/g)].map(([, anchor]) => anchor!);
  assert.equal(links.length, [...rules.matchAll(/- alert:/g)].length, "each alert has a link");
  const anchors = anchorsOf(readFileSync("docs/runbook.md", "utf8"));
  assert.deepEqual(
    links.filter((anchor) => !anchors.has(anchor)),
    [],
  );
});

test("links between documents lead somewhere", () => {
  const files = [
    "README.md",
    ...readdirSync("docs").flatMap((file) => (file.endsWith(".md") ? [join("docs", file)] : [])),
  ];
  const dead = files.flatMap((file) =>
    [...readFileSync(file, "utf8").matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)]
      .map(([, target]) => join(dirname(file), target!))
      .filter((target) => !existsSync(target))
      .map((target) => `${file} -> ${target}`),
  );
  assert.deepEqual(dead, []);
});

test("files, environment variables and commands that the documents name exist", () => {
  const pages = ["README.md", ...globSync("docs/*.md")].map((file) => ({ file, text: readFileSync(file, "utf8") }));
  const code = globSync(["{functions,media-node,infra}/**/*.{ts,mjs,sh,xml,yaml,jsonc}", "infra/vm/environment"], {
    exclude: (path) => path.includes("node_modules"),
  })
    .filter((path) => !path.endsWith(".test.ts"))
    .map((path) => readFileSync(path, "utf8"))
    .join("\n");
  const commands = [...readFileSync("media-node/main.ts", "utf8").matchAll(/^(?:const usage = `)?hearth ([a-z-]+)/gm)];
  const named = { files: 0, settings: 0, commands: 0 };
  const wrong: string[] = [];
  for (const { file, text } of pages) {
    for (const [path] of text.matchAll(/\b(?:infra|docs|media-node|functions|test)\/[\w./-]*[\w]/g)) {
      named.files++;
      if (!existsSync(path)) wrong.push(`${file}: ${path}`);
    }
    for (const [setting] of text.matchAll(/\b(?:HEARTH|UPSTASH|REDIS)_[A-Z_]*[A-Z]/g)) {
      named.settings++;
      if (!code.includes(setting)) wrong.push(`${file}: ${setting}`);
    }
    for (const [, command = ""] of text.matchAll(/`(?:npx |sudo )?hearth ([a-z-]+)/g)) {
      named.commands++;
      if (!commands.some(([, known]) => known === command)) wrong.push(`${file}: hearth ${command}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(named.files > 20 && named.settings > 10 && named.commands > 10, JSON.stringify(named));
});
