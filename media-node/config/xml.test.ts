import assert from "node:assert/strict";
import { test } from "node:test";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { XmlError } from "./problem.ts";
import { parseXml, type XmlElement } from "./xml.ts";

const codeOf = (text: string): string | undefined => {
  try {
    parseXml(text, "f");
    return undefined;
  } catch (thrown) {
    if (thrown instanceof XmlError) return `${thrown.code}:${thrown.line}`;
    throw thrown;
  }
};

test("keeps names, texts, attributes, lines and blanks", () => {
  const root = parseXml(
    `\uFEFF<?xml version="1.0"?>\r\n<!-- <a> -->\n<S v="1&quot;" w='"'>\r\n <A> x &amp;<![CDATA[<&]]>\r&#x41;&#66; </A>\n <B\n c="d"/><C></C ></S>\n<!-- end -->`,
    "f",
  );
  const view = ({ name, text, line, attributes, children }: XmlElement): unknown => [
    name,
    text,
    line,
    [...attributes],
    ...children.map(view),
  ];
  assert.deepEqual(view(root), [
    "S",
    "",
    3,
    [
      ["v", '1"'],
      ["w", '"'],
    ],
    ["A", " x &<&\nAB ", 4, []],
    ["B", "", 5, [["c", "d"]]],
    ["C", "", 6, []],
  ]);
});

test("says on which line and why a text is refused", () => {
  const table: readonly [string, string][] = [
    ["", "not-well-formed:1"],
    ["text", "not-well-formed:1"],
    ["<a>\n<b></a>", "not-well-formed:2"],
    ["<a>\n", "not-well-formed:2"],
    ["<a/><b/>", "not-well-formed:1"],
    ["<a></a>\nx", "not-well-formed:1"],
    ["<a b='1' b='2'/>", "not-well-formed:1"],
    ["<a b=1/>", "not-well-formed:1"],
    ["<a b/>", "not-well-formed:1"],
    ["<a b='<'/>", "not-well-formed:1"],
    ["<a b='1'c='2'/>", "not-well-formed:1"],
    ["< a/>", "not-well-formed:1"],
    ["<a></a b='1'>", "not-well-formed:1"],
    ["<a>\n\n<?xml version='1.0'?></a>", "not-well-formed:3"],
    ["<a>\u0001</a>", "not-well-formed:1"],
    ["<a><!-- </a>", "not-well-formed:1"],
    ["<a>\n<!DOCTYPE a></a>", "declaration:2"],
    ["<!ENTITY a 'b'><a/>", "declaration:1"],
    ["<a>&nope;</a>", "entity:1"],
    ["<a>&#0;</a>", "entity:1"],
    ["<a>&#x110000;</a>", "entity:1"],
    ["<a>".repeat(65) + "</a>".repeat(65), "too-many:1"],
    [`<a>${"<b/>".repeat(100_000)}</a>`, "too-many:1"],
    [`<a ${Array.from({ length: 33 }, (_, i) => `k${i}=""`).join(" ")}/>`, "too-many:1"],
    [`<a>${"é".repeat(600_000)}</a>`, "too-large:1"],
  ];
  for (const [text, code] of table) assert.equal(codeOf(text), code, text.slice(0, 60));
});

test("reads a lone ampersand as it stands, and reports it", () => {
  const reports: string[] = [];
  const { text } = parseXml("<a>\nx & y &; &amp;</a>", "f", (line, code) => reports.push(`${code}:${line}`));
  assert.equal(text, "\nx & y &; &");
  assert.deepEqual(reports, ["lone-ampersand:1"]);
});

// A quadratic step over 1 MiB takes minutes.
test("takes time in proportion to the text, whatever the text", { timeout: 60_000 }, () => {
  const size = 1024 * 1024 - 64;
  const hostile = [
    `<a ${" ".repeat(size)}`,
    `<a ${"b='1' ".repeat(20)}${" ".repeat(size)}>`,
    `<a>${"&".repeat(size)}</a>`,
    `<a>${"&#".repeat(size / 2)}</a>`,
    `<a>${"<!--".repeat(size / 4)}`,
    `<${"a".repeat(size)}`,
    `<a b="${"\n".repeat(size)}`,
    `<a>${"\r".repeat(size)}</a>`,
    `<a>${"]]>".repeat(size / 3)}</a>`,
    "<a>".repeat(size / 3),
    `<a>${"x<b/>".repeat(90_000)}</a>`,
  ];
  for (const text of hostile) codeOf(text);
});

/** What another reader of XML makes of a text: names and texts in order; undefined when it refuses. */
function readByOther(text: string): unknown {
  if (XMLValidator.validate(text) !== true) return undefined;
  const parser = new XMLParser({
    preserveOrder: true,
    parseTagValue: false,
    trimValues: false,
    processEntities: false,
    ignoreDeclaration: true,
    onDangerousProperty: (name) => name,
  });
  const view = (nodes: unknown): unknown[] =>
    (Array.isArray(nodes) ? nodes : []).flatMap((node: Record<string, unknown>) =>
      Object.entries(node).flatMap(([name, inside]) =>
        name === "#text" ? [] : [[name, textOf(inside), ...view(inside)]],
      ),
    );
  const textOf = (nodes: unknown): string =>
    (Array.isArray(nodes) ? nodes : []).map((node: { "#text"?: string }) => node["#text"] ?? "").join("");
  return view(parser.parse(text))[0];
}

test("agrees with another reader on random documents", () => {
  const view = ({ name, text, children }: XmlElement): unknown => [name, text, ...children.map(view)];
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const document = (depth: number): string => {
    const name = ["Server", "Url", "a-b", "x:y", "_"][random(5)]!;
    if (depth === 0 || random(4) === 0)
      return random(2) ? `<${name}/>` : `<${name}>${["v", " v ", "a\nb"][random(3)]}</${name}>`;
    return `<${name}>${Array.from({ length: 1 + random(3) }, () => document(depth - 1)).join("")}</${name}>`;
  };
  let compared = 0;
  for (let round = 0; round < 2_000; round++) {
    let text = document(4);
    if (round % 2) {
      const at = random(text.length);
      text = text.slice(0, at) + ["<", ">", "/", "x", ""][random(5)] + text.slice(at + 1);
    }
    // The other one also takes some broken texts that we refuse; never the other way round.
    if (codeOf(text) !== undefined) continue;
    compared++;
    assert.deepEqual(view(parseXml(text, "f")), readByOther(text), text);
  }
  assert.ok(compared > 1_000);
});
