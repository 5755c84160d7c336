import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { loadConfig, runCheck, runExplain } from "./config-commands.ts";
import { SettingError } from "./flow/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "hearth-config-"));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "vhosts"));

const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const vhost = (name: string, inside: string): string =>
  `<VirtualHost><Name>${name}</Name><Host><Names><Name>${name}.example.com</Name></Names></Host>${inside}` +
  `<Applications><Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers></Application></Applications></VirtualHost>`;
const rule =
  "<Origins><Origin><Location>/app/</Location><Pass><Scheme>ovt</Scheme><Urls><Url>o:9000/app/</Url></Urls></Pass></Origin></Origins>";

write("vhosts/a.xml", vhost("a", rule));
write("vhosts/b.xml", `${vhost("b", "")}\n`);
const server = (inside: string): string =>
  `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts>${inside}</VirtualHosts></Server>`;

test("check and load read a file with everything it includes", () => {
  const path = write("Server.xml", server('<VirtualHost include="vhosts/*.xml"/>'));
  assert.deepEqual(
    loadConfig(path, () => {}).vhosts.map(({ name }) => name),
    ["a", "b"],
  );
  assert.deepEqual(runCheck([path]), { output: `${path} is in order: 0 errors, 0 warnings.\n`, exitCode: 0 });
});

test("what cannot be used is an error that names the file", () => {
  const broken = write("Broken.xml", server("<VirtualHost><Nme/></VirtualHost>"));
  assert.equal(runCheck([broken, "--json"]).exitCode, 1);
  const lines: string[] = [];
  assert.throws(() => loadConfig(broken, (line) => lines.push(line)), SettingError);
  assert.match(lines.join("\n"), /Broken\.xml:1: error: .*Did you mean <Name>\?/);
  assert.throws(() => loadConfig(join(folder, "none.xml"), () => {}), /Cannot read .*none\.xml/);
  assert.throws(() => runCheck([]), SettingError);
});

test("exit codes tell a file that is wrong from a question that made no sense", () => {
  const main = join(import.meta.dirname, "main.ts");
  const codeOf = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" }).status;
  assert.equal(codeOf("check", write("Wrong.xml", server("<Nme/>"))), 1);
  assert.equal(codeOf("check", join(folder, "none.xml")), 2);
  assert.equal(codeOf("explain", "--no-such-option"), 2);
});

test("explain asks the store that the file names, and says so when it does not answer", async () => {
  const silent = createServer().listen(0, "127.0.0.1");
  await once(silent, "listening");
  const address = silent.address();
  assert.ok(address && typeof address === "object");
  const store = `<OriginMapStore><RedisServer><Host>127.0.0.1:${address.port}</Host></RedisServer></OriginMapStore>`;
  const path = write("Store.xml", server(vhost("c", rule + store)));
  try {
    const known = await runExplain(["ws://c.example.com/app/s", "--config", path]);
    assert.match(known.output, /ovt:\/\/o:9000\/app\/s\n$/);
    assert.equal(known.exitCode, 0);
    const unknown = await runExplain(["ws://c.example.com/other/s", "--config", path, "--json"]);
    assert.equal(unknown.exitCode, 1);
    const { decision, store: answer }: { decision: string; store: unknown } = JSON.parse(unknown.output);
    assert.deepEqual([decision, answer], ["not-found", { isAvailable: false, urls: [] }]);
  } finally {
    silent.close();
  }
  await assert.rejects(runExplain(["ws://c.example.com/app/s"]), SettingError);
});

test("a file that cannot be read is said with the reason in words", () => {
  assert.throws(() => runCheck([join(folder, "nobody.xml")]), /Cannot read .*nobody\.xml: there is no such file/);
  assert.throws(() => runCheck([folder]), /it is a folder; name the Server\.xml in it/);
});

test("a file that is to be included by its name and is not there is a warning; a pattern may match nothing", () => {
  const inside = `<VirtualHost include="vhosts/a.xml"/><VirtualHost include="later/*.xml"/>`;
  assert.match(runCheck([write("later.xml", server(inside))]).output, / 0 errors, 0 warnings\.\n$/);
  const { output, exitCode } = runCheck([
    write("absent.xml", server(`${inside}<VirtualHost include="absent/b.xml"/>`)),
  ]);
  assert.match(output, /absent\.xml:1: warning: There is no file to include for .*: absent\/b\.xml \[include-count\]/);
  assert.equal(exitCode, 0);
});
