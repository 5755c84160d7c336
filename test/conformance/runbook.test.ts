// Every alert leads to a heading of the runbook, and every page the documents link to is there.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
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
