import assert from "node:assert/strict";
import { test } from "node:test";
import { checkServerXml } from "./check.ts";

const options = { path: "Server.xml", env: {} };
const server = (inside: string): string =>
  `<Server version="8">\n<Type>edge</Type><IP>*</IP><Bind/>\n${inside}\n</Server>`;

test("a file in order ends with 0", () => {
  assert.deepEqual(checkServerXml(server(""), options), {
    output: "Server.xml is in order: 0 errors, 0 warnings.\n",
    exitCode: 0,
  });
});

test("a warning ends with 0, or with 1 when asked to be strict", () => {
  const xml = server("<Modules><LLHLS><Enable>yes</Enable></LLHLS></Modules><Analytics/>");
  const { output, exitCode } = checkServerXml(xml, options);
  assert.equal(exitCode, 0);
  assert.equal(
    output,
    [
      'Server.xml:3: warning: "yes" is read as false. [bad-flag]',
      "    at Server/Modules/LLHLS/Enable",
      "    Write true or false.",
      "Accepted, and not used by Hearth:",
      "    Server/Analytics (line 3)",
      "Server.xml can be used: 0 errors, 1 warning.",
      "",
    ].join("\n"),
  );
  assert.equal(checkServerXml(xml, { ...options, isStrict: true }).exitCode, 1);
  assert.equal(checkServerXml(server("<Analytics/>"), { ...options, isStrict: true }).exitCode, 0);
});

test("an error ends with 1 and says where it stands and what was probably meant", () => {
  const { output, exitCode } = checkServerXml(server("<Bnd/>"), options);
  assert.equal(exitCode, 1);
  assert.equal(
    output,
    "Server.xml:3: error: Unknown element Server/Bnd. [unknown-element]\n    at Server/Bnd\n    Did you mean <Bind>?\n" +
      "Server.xml cannot be used: 1 error, 0 warnings.\n",
  );
  assert.equal(checkServerXml("", options).exitCode, 1);
});

test("the JSON form holds every problem", () => {
  const { output, exitCode } = checkServerXml(server("<Bnd/><Alert/>"), { ...options, asJson: true });
  assert.equal(exitCode, 1);
  const answer: unknown = JSON.parse(output);
  assert.deepEqual(answer, {
    file: "Server.xml",
    isUsable: false,
    errors: 1,
    warnings: 0,
    problems: [
      {
        severity: "error",
        code: "unknown-element",
        path: "Server/Bnd",
        file: "Server.xml",
        line: 3,
        message: "Unknown element Server/Bnd.",
        remedy: "Did you mean <Bind>?",
      },
      {
        severity: "warning",
        code: "not-used",
        path: "Server/Alert",
        file: "Server.xml",
        line: 3,
        message: "Server/Alert is not used by Hearth.",
        remedy: "Nothing needs to be done.",
      },
    ],
  });
});

test("nothing of a file steers the terminal", () => {
  const { output } = checkServerXml(server("<Type>\u009b31m</Type>"), options);
  assert.doesNotMatch(output, /[^\P{Cc}\n]/u);
});
