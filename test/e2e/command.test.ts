// `npm start` as a person meets it: what it prints, how it ends, and what it says when something is wrong.
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { isAlive, machineEnv, RunningCommand } from "../support/command.ts";
import { until } from "../support/until.ts";

const npmStart = (env: NodeJS.ProcessEnv, ...args: string[]): RunningCommand =>
  new RunningCommand("npm", ["start", ...(args.length > 0 ? ["--", ...args] : [])], { env: machineEnv(env) });

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends every process within two seconds with exit code 0, and a second start works at once`, async () => {
    const port = String(await freePort());
    for (let round = 0; round < 2; round++) {
      await using command = npmStart({ HEARTH_ROUTER_PORT: port });
      const url = await command.ready(30_000);
      assert.equal(url, `http://127.0.0.1:${port}/`);
      const family = command.family();
      assert.ok(family.length >= 5, `router, origin, two edges and their parent: ${family.length}`);
      const startMs = performance.now();
      command.child.kill(signal);
      const { code, signal: endedBy } = await command.exit;
      await until("every process is gone", 2_000, () => !family.some(isAlive));
      assert.ok(performance.now() - startMs < 2_500, `${performance.now() - startMs} ms`);
      assert.deepEqual({ code, endedBy }, { code: 0, endedBy: null });
    }
  });
}

test("an interrupt from the keyboard reaches the whole group, and still ends with 0", async () => {
  await using command = npmStart({ HEARTH_ROUTER_PORT: "0" });
  await command.ready(30_000);
  const family = command.family();
  for (const pid of family) if (isAlive(pid)) process.kill(pid, "SIGINT");
  const { code } = await command.exit;
  assert.equal(code, 0);
  await until("every process is gone", 2_000, () => !family.some(isAlive));
});

test("nothing is left when whoever started it is killed", async () => {
  await using command = npmStart({ HEARTH_ROUTER_PORT: "0" });
  await command.ready(30_000);
  const family = command.family();
  process.kill(command.child.pid!, "SIGKILL");
  await until("every process is gone", 4_000, () => !family.some(isAlive));
});

for (const afterMs of [150, 600, 1_200]) {
  test(`nothing is left when it is killed ${afterMs} ms after its start`, async () => {
    await using command = npmStart({ HEARTH_ROUTER_PORT: "0" });
    let family: number[] = [];
    const deadlineMs = performance.now() + afterMs;
    await until("that moment", 5_000, () => (family = command.family()).length > 0 && performance.now() > deadlineMs);
    process.kill(command.child.pid!, "SIGKILL");
    await until("every process is gone", 6_000, () => !family.some(isAlive));
  });
}

/** A clear sentence, a remedy, an exit code; never a stack trace. */
async function refused(running: RunningCommand, ...words: RegExp[]): Promise<void> {
  await using command = running;
  const { code } = await command.exit;
  assert.equal(code, 1, command.stdout);
  for (const word of words) assert.match(command.stderr, word);
  assert.doesNotMatch(command.stderr, /^\s+at /m);
  assert.doesNotMatch(command.stdout, /ready/);
}

test("a port in use is named with the setting that chooses another", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  const { port } = taken.address() as AddressInfo;
  await refused(
    npmStart({ HEARTH_ROUTER_PORT: String(port) }),
    new RegExp(String(port)),
    /in use/,
    /HEARTH_ROUTER_PORT/,
  );
  await new Promise((resolve) => taken.close(resolve));
});

test("a port that this user may not open is named with the setting that chooses another", async () => {
  // Root, but without the right to ports below 1024: files stay readable.
  const unprivileged = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-net_bind_service"];
  const [program, ...args] = [...(process.getuid?.() === 0 ? unprivileged : []), "sh", "infra/start.sh"];
  const command = new RunningCommand(program, args, { env: machineEnv({ HEARTH_ROUTER_PORT: "80" }) });
  await refused(command, /port 80 is not allowed/, /HEARTH_ROUTER_PORT/);
});

test("a port that is no port is named with its setting", async () => {
  await refused(npmStart({ HEARTH_ROUTER_PORT: "http" }), /HEARTH_ROUTER_PORT is "http"/);
});

test("an RTSP source that cannot be reached is said so, without its password", async () => {
  const port = await freePort();
  await using command = npmStart({ HEARTH_ROUTER_PORT: "0" }, `rtsp://user:geheim@127.0.0.1:${port}/camera`);
  await refused(command, /Cannot pull rtsp:\/\/127\.0\.0\.1:\d+\/camera/, /refused/, /Check/);
  assert.doesNotMatch(command.stderr, /geheim/);
});

test("a source that is no URL is said so", async () => {
  await refused(npmStart({ HEARTH_ROUTER_PORT: "0" }, "camera"), /"camera" is no source/);
});

test("a secret that is too short is said so", async () => {
  await refused(npmStart({ HEARTH_ROUTER_PORT: "0", HEARTH_SECRET: "short" }), /HEARTH_SECRET/);
});

test("a Redis URL that is none is said so", async () => {
  await refused(npmStart({ HEARTH_ROUTER_PORT: "0", REDIS_URL: "localhost" }), /redis:\/\//);
});

test("a Redis that is not there is said so", async () => {
  const url = `redis://:geheim@127.0.0.1:${await freePort()}`;
  const command = npmStart({ HEARTH_ROUTER_PORT: "0", REDIS_URL: url });
  await refused(command, /REDIS_URL/, /does not answer/);
  assert.doesNotMatch(command.stderr, /geheim/);
});

test("an unknown stream is a 404 with a sentence, by every protocol", async () => {
  await using command = npmStart({ HEARTH_ROUTER_PORT: "0" });
  const url = await command.ready(30_000);
  const asked = [
    fetch(`${url}app/nothing/llhls.m3u8`),
    fetch(`${url}app/nothing/whep`, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: "v=0\r\n",
    }),
    fetch(`${url}-/resolve/app/nothing`),
  ];
  for (const answer of await Promise.all(asked)) {
    assert.equal(answer.status, 404, answer.url);
    assert.match(((await answer.json()) as { error: string }).error, /\w+ \w+/);
    assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*");
  }
  command.child.kill("SIGTERM");
  assert.equal((await command.exit).code, 0);
});
