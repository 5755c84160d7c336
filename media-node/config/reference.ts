import { problemCodes } from "./problem-codes.ts";
import type { GroupNode, ScalarNode, SchemaNode } from "./schema.ts";
import { serverSchema } from "./server-schema.ts";

/** The page docs/server-xml.md: every element with type, default and meaning, and every problem code. */
export function printReference(): string {
  const codes = Object.entries(problemCodes).map(([code, meaning]) => `- \`${code}\`: ${meaning}`);
  return [introduction, ...printGroup(serverSchema, "Server", 0), "## Problem codes\n", ...codes, ""].join("\n");
}

const introduction = `# Server.xml

Printed from the schema in \`media-node/config/\`: do not edit. \`node media-node/config/print-reference.ts\` prints it anew.

Hearth reads the Server.xml of OvenMediaEngine, versions 8 to 10, and the older shape of its documentation (with warnings).
\`hearth check Server.xml\` says what is wrong or odd in a file, with line and remedy; \`hearth explain URL --config
Server.xml\` says what becomes of a viewer's URL.

- Texts are taken with their blanks. Numbers and flags are read as OvenMediaEngine reads them; what differs from plain
  digits, \`true\` and \`false\` is reported.
- \`\${env:NAME}\` and \`\${env:NAME:default}\` stand for environment variables; one that is set and empty is empty.
- \`include="file.xml"\` on an element puts the root of another file in its place; \`*\` and \`?\` may stand in the file's name.
- \`ignore="true"\` on an element skips it. Hearth reads its own element \`<Hearth>\` even so, and one file serves both.
- A changed file is read again on SIGHUP, \`POST /-/reload\` and \`hearth reload\`: docs/decisions/reload.md.
- \`hearth check\` ends with 0 when a node would start with the file, 1 when not (\`--strict\`: or with a warning), 2 when the
  file cannot be read; \`--json\` for scripts.
- Limits: 1 MiB a file, 4 MiB with everything included, 64 levels, 100,000 elements. Document types are refused.
`;

function printGroup(node: GroupNode, path: string, depth: number): string[] {
  const children = Object.entries(node.children);
  const heading = `${depth === 0 ? "##" : "###"} ${path}\n`;
  const doc = node.doc === "" ? [] : [`${node.doc}\n`];
  const rows = children.flatMap(([name, child]) => printRow(name, child));
  const unused = children.filter(([, child]) => child.kind === "unused").map(([name]) => `\`${name}\``);
  const accepted =
    unused.length === 0 ? [] : [`${rows.length > 0 ? "\n" : ""}Accepted and not used: ${unused.join(", ")}.`];
  const inner = children.flatMap(([name, child]) => {
    const group = child.kind === "list" ? child.item : child;
    return group.kind === "group" ? printGroup(group, `${path}/${name}`, depth + 1) : [];
  });
  return [heading, ...doc, ...rows, ...accepted, "", ...inner];
}

function printRow(name: string, node: SchemaNode): string[] {
  const isList = node.kind === "list";
  const inner = isList ? node.item : node;
  if (inner.kind === "unused") return [];
  const facts = inner.kind === "group" ? ["group"] : scalarFacts(inner);
  if (isList) facts.push("any number");
  if (node.kind !== "unused" && node.isRequired) facts.push("required");
  if (inner.notFollowed !== undefined) facts.push("not followed");
  return [`- \`${name}\` (${facts.join(", ")})${inner.doc === "" ? "" : `: ${inner.doc}`}`];
}

function scalarFacts({ type, fallback, isRequired, assumed }: ScalarNode<unknown>): string[] {
  if (assumed !== undefined) return [type, `${JSON.stringify(assumed)} is assumed in older files`];
  const isShown = ["string", "number", "boolean"].includes(typeof fallback) && fallback !== "" && !isRequired;
  return isShown ? [type, `default ${JSON.stringify(fallback).replaceAll('"', "")}`] : [type];
}
