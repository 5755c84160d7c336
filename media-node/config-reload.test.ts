import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServerXml, type ParsedServerXml } from "./config/parse-server-xml.ts";
import { ConfigReload } from "./config-reload.ts";
import { SettingError } from "./flow/errors.ts";
import { silentLogger } from "./flow/logger.ts";
import { LiveConfig } from "./live-config.ts";
import { ManualClock } from "./time/manual-clock.ts";

function parse(names: readonly string[]): ParsedServerXml {
  const vhosts = names.map((name) => `<VirtualHost><Name>${name}</Name></VirtualHost>`).join("");
  const text = `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts>${vhosts}</VirtualHosts></Server>`;
  return parseServerXml(text, { path: "Server.xml", env: {} });
}

function setUp() {
  const clock = new ManualClock();
  const live = new LiveConfig(parse(["a"]).config!);
  const file = { read: (): ParsedServerXml => parse(["a"]), reads: 0 };
  const reload = new ConfigReload({ read: () => (file.reads++, file.read()), live, clock, logger: silentLogger });
  const metric = (name: string) => reload.metrics.find((one) => one.name === `hearth_config_${name}`)!.read();
  return { clock, live, file, reload, metric };
}

const names = ({ now }: LiveConfig): string[] => now.vhosts.map(({ name }) => name);

test("a changed file is in force after a reload, and counted", async () => {
  const { clock, live, file, reload, metric } = setUp();
  file.read = () => parse(["a", "b"]);
  clock.advance(5_000);
  const outcome = await reload.reload("test");
  assert.equal(outcome.isTaken, true);
  assert.deepEqual(outcome.changes, ['virtual host "b" added']);
  assert.deepEqual(names(live), ["a", "b"]);
  assert.equal(metric("generation"), 2);
  assert.equal(metric("last_reload_successful"), 1);
  assert.equal(metric("last_reload_success_timestamp_seconds"), clock.wallMs() / 1_000);
  assert.equal(metric("last_reload_failure_timestamp_seconds"), 0);
});

test("a wrong file changes nothing, and the answer says where and what to do", async () => {
  const { live, file, reload, metric } = setUp();
  file.read = () => parseServerXml(`<Server version="8">\n<Typ>edge</Typ></Server>`, { path: "Server.xml", env: {} });
  const outcome = await reload.reload("test");
  assert.equal(outcome.isTaken, false);
  const unknown = outcome.errors.find(({ code }) => code === "unknown-element");
  assert.deepEqual([unknown?.file, unknown?.line, unknown?.path], ["Server.xml", 2, "Server/Typ"]);
  assert.equal(unknown?.remedy, "Did you mean <Type>?");
  assert.deepEqual(names(live), ["a"]);
  assert.deepEqual([metric("generation"), metric("last_reload_successful")], [1, 0]);
  file.read = () => parse(["a"]);
  assert.equal((await reload.reload("test")).isTaken, true);
  assert.deepEqual([metric("generation"), metric("last_reload_successful")], [2, 1]);
});

test("a file that cannot be read changes nothing", async () => {
  const { live, file, reload } = setUp();
  file.read = () => {
    throw new SettingError("Cannot read Server.xml: gone");
  };
  const { isTaken, errors } = await reload.reload("test");
  assert.deepEqual([isTaken, errors.map(({ message }) => message)], [false, ["Cannot read Server.xml: gone"]]);
  assert.deepEqual(names(live), ["a"]);
});

test("when one part cannot follow, none does", async () => {
  const { live, file, reload } = setUp();
  const switched: string[] = [];
  live.addPart({ prepare: async () => () => void switched.push("doors") });
  const takeOff = live.addPart({
    prepare: () => Promise.reject(new SettingError("the certificate cert.pem cannot be read")),
  });
  file.read = () => parse(["b"]);
  const { isTaken, errors } = await reload.reload("test");
  assert.equal(isTaken, false);
  assert.deepEqual(
    errors.map(({ code, message }) => [code, message]),
    [["cannot-follow", "the certificate cert.pem cannot be read"]],
  );
  assert.deepEqual([names(live), switched], [["a"], []]);
  takeOff();
  assert.equal((await reload.reload("test")).isTaken, true);
  assert.deepEqual([names(live), switched], [["b"], ["doors"]]);
});

test("reloads asked for during one are one more, which reads the newest file", async () => {
  const { live, file, reload } = setUp();
  let goOn = (): void => {};
  const takeOff = live.addPart({
    prepare: () => new Promise((resolve) => (goOn = () => resolve(() => {}))),
  });
  file.read = () => parse(["first"]);
  const first = reload.reload("one");
  const others = [reload.reload("two"), reload.reload("three")];
  file.read = () => parse(["last"]);
  takeOff();
  goOn();
  assert.equal((await first).generation, 2);
  assert.deepEqual(
    (await Promise.all(others)).map(({ generation }) => generation),
    [3, 3],
  );
  assert.deepEqual([names(live), file.reads], [["last"], 2]);
});
