// A node on a machine of its own: the installer is run for real into a folder, against a mirror of Node.js on loopback,
// and the node is started by the very line that the systemd unit starts it with.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runInstaller, startNodeMirror } from "../../test/support/bare-machine.ts";
import { repository } from "../../test/support/command.ts";
import { allocatorEnv } from "../laptop/node-process.ts";
import { until } from "../../test/support/until.ts";

const read = (file: string): string => readFileSync(join(repository, file), "utf8");
const unit = read("infra/vm/hearth-node.service");

let scratch: string;
before(() => void (scratch = mkdtempSync(join(tmpdir(), "hearth-vm-"))));
after(() => rmSync(scratch, { recursive: true, force: true }));

test("whatever the command loads from beside the node's folder is installed, and is in the image", () => {
  const loaded = [...read("media-node/main.ts").matchAll(/import\("\.\.\/(infra\/[^"]+)"\)/g)].map(
    ([, file = ""]) => file,
  );
  assert.ok(loaded.length >= 3);
  const homes = new Set(loaded.map((file) => (file.split("/").length > 2 ? file.split("/", 2).join("/") : file)));
  for (const home of homes) {
    assert.ok(read("infra/vm/install.sh").includes(`"$source/${home}"`), `install.sh: ${home}`);
    assert.ok(read("infra/container/Dockerfile").includes(`COPY ${home} ./${home}\n`), `Dockerfile: ${home}`);
  }
});

interface Manifest {
  readonly version: string;
  readonly imports: object;
  readonly bin: object;
  readonly dependencies: Record<string, string>;
}

test("a node's packages are the ones that its code imports, in the root's versions", () => {
  const node = JSON.parse(read("infra/vm/package.json")) as Manifest;
  const root = JSON.parse(read("package.json")) as Manifest;
  const imported = new Set(
    globSync(
      ["media-node/**/*.ts", "infra/dns/*.ts", "infra/hls-check/*.ts", "infra/simulate/**/*.ts", "infra/simulate.ts"],
      {
        cwd: repository,
      },
    )
      .filter((file) => !file.endsWith(".test.ts"))
      .flatMap((file) => [...read(file).matchAll(/(?:from |import\(|import\.meta\.url\)\()\s*"([a-z@][^"]*)"/g)])
      .map(([, name]) => name!)
      .filter((name) => !name.startsWith("node:"))
      .map((name) => name.split("/", name.startsWith("@") ? 2 : 1).join("/")),
  );
  assert.deepEqual(Object.keys(node.dependencies), [...imported].toSorted());
  for (const [name, version] of Object.entries(node.dependencies)) assert.equal(version, root.dependencies[name], name);
  assert.deepEqual(
    { version: node.version, imports: node.imports, bin: node.bin },
    { version: root.version, imports: root.imports, bin: root.bin },
  );
});

test("the installer makes a node of a bare folder, refuses what was tampered with, and the unit's own line serves", async (t) => {
  const mirror = await startNodeMirror(join(scratch, "mirror"));
  t.after(() => mirror.close());
  const root = join(scratch, "root");
  const install = () => runInstaller(root, mirror);

  const sums = join(mirror.folder, "SHASUMS256.txt");
  const honest = readFileSync(sums, "utf8");
  writeFileSync(
    sums,
    honest.replace(/^./, (digit) => (digit === "0" ? "1" : "0")),
  );
  const refused = await install();
  assert.notEqual(refused.code, 0);
  assert.match(refused.words, /not what its checksum says; nothing was changed/);
  assert.ok(!existsSync(join(root, "opt/hearth")));

  writeFileSync(sums, honest);
  const installed = await install();
  assert.equal(installed.code, 0, installed.words);
  assert.match(
    readFileSync(join(root, "etc/hearth/environment"), "utf8"),
    new RegExp(`^HEARTH_NODE_ID=${hostname()}$`, "m"),
  );

  await t.test("every command finds its code, also those that live outside the node's folder", () => {
    for (const command of ["hls-check", "simulate", "dns"]) {
      const main = join(root, "opt/hearth/media-node/main.ts");
      const { status, stderr } = spawnSync(process.execPath, [main, command, "--nonsense"], { encoding: "utf8" });
      assert.equal(status, 2, stderr);
      assert.doesNotMatch(stderr, /Cannot find/);
    }
  });

  await t.test("the command on the path has the settings that the unit has", () => {
    const command = join(scratch, "hearth");
    const installedOne = readFileSync(join(root, "usr/local/bin/hearth"), "utf8");
    writeFileSync(command, installedOne.replaceAll(/\/(?=(?:opt|etc)\/hearth)/g, `${root}/`));
    const env = { PATH: "/usr/bin:/bin" };
    const check = () =>
      spawnSync("sh", [command, "check", join(root, "etc/hearth/Server.xml")], { encoding: "utf8", env });
    assert.match(check().stdout, / 0 errors, 0 warnings\.\n$/);
    const settings = join(root, "etc/hearth/environment");
    rmSync(settings);
    assert.match(check().stdout, /\$\{env:HEARTH_NODE_ID\} is not set/, "without them it still runs");
  });

  await t.test("a second run renews the program and keeps the settings", async () => {
    writeFileSync(join(root, "etc/hearth/environment"), "HEARTH_NODE_ID=mine\n");
    const renewed = await install();
    assert.equal(renewed.code, 0, renewed.words);
    assert.equal(readFileSync(join(root, "etc/hearth/environment"), "utf8"), "HEARTH_NODE_ID=mine\n");
    assert.ok(existsSync(join(root, "opt/hearth.last/media-node/main.ts")), "the last one is kept for a way back");
  });

  await t.test("what the unit starts serves, reloads on SIGHUP and ends with 0 on SIGTERM", () =>
    startsAsTheUnitSays(root),
  );
});

async function startsAsTheUnitSays(root: string): Promise<void> {
  const [command, ...args] = /^ExecStart=(.*)$/m
    .exec(unit)![1]!
    .split(" ")
    .map((word) => word.replace(/^\/(opt|etc)\//, `${root}/$1/`));
  const config = join(root, "etc/hearth/Server.xml");
  const ports = readFileSync(config, "utf8").replaceAll(/<Port>3333<\/Port>/g, "<Port>0</Port>");
  writeFileSync(config, ports.replace("*:10000/udp", "*:0/udp").replace("<OperatorPort>9099", "<OperatorPort>0"));
  const child = spawn(command!, args, {
    cwd: scratch,
    env: { PATH: "/usr/bin:/bin", HEARTH_NODE_ID: "vm-1", REDIS_URL: "redis://127.0.0.1:1" },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let words = "";
  for (const stream of [child.stdout!, child.stderr!])
    stream.setEncoding("utf8").on("data", (text: string) => (words += text));
  try {
    const [ready] = (await once(child, "message", { signal: AbortSignal.timeout(20_000) }).catch(() => {
      throw new Error(`not ready: ${words}`);
    })) as [{ url: string }];
    const url = new URL("/-/health", ready.url);
    url.hostname = "127.0.0.1";
    assert.equal((await fetch(url)).status, 200);
    child.kill("SIGHUP");
    await until("the configuration was read again", 10_000, () => /configuration|reload/i.test(words));
    assert.equal((await fetch(url)).status, 200);
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [0, null]);
  } finally {
    child.kill("SIGKILL");
  }
}

test("every way to start a node tells malloc the same", () => {
  const settings = Object.entries(allocatorEnv).map(([name, value]) => `${name}=${value}`);
  assert.ok(unit.includes(`\nEnvironment=${settings.join(" ")}\n`), "the unit");
  assert.ok(read("infra/container/Dockerfile").includes(`\nENV ${settings.join(" ")}\n`), "the container");
});

test("systemd accepts the unit without a word, and finds it well confined", () => {
  const folder = join(scratch, "unit");
  mkdirSync(folder, { recursive: true });
  // systemd looks whether the programs are there; on this machine they are not installed.
  const here = unit
    .replaceAll("/opt/hearth/node/bin/node", process.execPath)
    .replaceAll("User=hearth", "User=root")
    .replaceAll("Group=hearth", "Group=root");
  const file = join(folder, "hearth-node.service");
  writeFileSync(file, here);
  const verified = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" });
  assert.equal(verified.error, undefined, "systemd-analyze is missing: apt-get install systemd");
  // It ends with 0 even for keys that do not exist: the words tell.
  assert.deepEqual({ stderr: verified.stderr, status: verified.status }, { stderr: "", status: 0 });
  const broken = join(folder, "broken.service");
  writeFileSync(broken, here.replace("KillMode=", "KillMood="));
  assert.match(spawnSync("systemd-analyze", ["verify", "--man=no", broken], { encoding: "utf8" }).stderr, /KillMood/);

  writeFileSync(file, unit);
  const security = spawnSync("systemd-analyze", ["security", "--offline=true", "--no-pager", "--threshold=30", file], {
    encoding: "utf8",
  });
  assert.equal(security.status, 0, security.stdout.split("\n").slice(-3).join("\n"));
});

test("sysctl knows every kernel setting, and takes each line", () => {
  const trial = (file: string) => spawnSync("sysctl", ["--dry-run", "-p", file], { encoding: "utf8" });
  const { error, status, stdout, stderr } = trial(join(repository, "infra/vm/60-hearth.conf"));
  assert.equal(error, undefined, "sysctl is missing: apt-get install procps");
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  assert.equal(stdout.trim().split("\n").length, read("infra/vm/60-hearth.conf").match(/^\w.*=/gm)!.length);
  const broken = join(scratch, "broken.conf");
  writeFileSync(broken, "net.core.rmem_maxx = 1\n");
  assert.match(trial(broken).stderr, /rmem_maxx/);
});

test("a drain has the time it may take before systemd kills", () => {
  const stopSec = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1]);
  const drainMs = Number(/`DrainTimeout` \(milliseconds, default (\d+)\)/.exec(read("docs/server-xml.md"))?.[1]);
  assert.ok(stopSec * 1_000 > drainMs + 5_000, `${stopSec} s for ${drainMs} ms`);
});

test("the shipped Server.xml is in order", () => {
  const checked = spawnSync(process.execPath, ["media-node/main.ts", "check", "infra/vm/Server.xml", "--strict"], {
    cwd: repository,
    encoding: "utf8",
    env: { ...process.env, HEARTH_NODE_ID: "vm-1" },
  });
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
});

test("cloud-init accepts the user data, and every command in it exists", () => {
  const file = join(repository, "infra/cloud-init/user-data.yaml");
  const checked = spawnSync("cloud-init", ["schema", "--config-file", file], { encoding: "utf8" });
  assert.equal(checked.error, undefined, "cloud-init is missing: apt-get install cloud-init");
  assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  const text = readFileSync(file, "utf8");
  for (const [, path] of text.matchAll(/\/run\/hearth\/(\S+)/g)) assert.ok(existsSync(join(repository, path!)), path);
  for (const [, name] of text.matchAll(/^ {6}([A-Z_]+)=/gm))
    assert.match(read("infra/vm/environment"), new RegExp(`^#?${name}=`, "m"));
});

for (const script of globSync("infra/**/*.sh", { cwd: repository, exclude: (name) => name === "node_modules" })) {
  test(`shellcheck finds nothing in ${script}`, () => {
    const checked = spawnSync("shellcheck", ["-x", "-s", "dash", script], { cwd: repository, encoding: "utf8" });
    assert.equal(checked.error, undefined, "shellcheck is missing: apt-get install shellcheck");
    assert.equal(checked.status, 0, checked.stdout);
  });
}
