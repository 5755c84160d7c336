import assert from "node:assert/strict";
import { request } from "node:http";
import { after, test } from "node:test";
import type { NodeState } from "./health.ts";
import { listenForOperators, type OperatorServerOptions } from "./operator-server.ts";
import { SettingError } from "../flow/errors.ts";

const open: { close(): Promise<void> }[] = [];
after(async () => void (await Promise.all(open.map((server) => server.close()))));

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** A door with one action, and a function that asks it for status and body. */
async function door(options: Partial<OperatorServerOptions> = {}) {
  const done: string[] = [];
  let state: NodeState = "serving";
  const server = await listenForOperators({
    port: 0,
    metrics: [{ name: "hearth_test", help: "t", read: () => 1 }],
    describe: () => ({ id: "n" }),
    state: () => state,
    reports: { "/-/drain": () => ({ state }) },
    actions: {
      "/-/reload": async () => (done.push("reload"), { status: 422, body: { isTaken: false } }),
      "/-/broken": async () => Promise.reject(new Error("broken")),
    },
    ...options,
  });
  open.push(server);
  const ask = ({ path, method = "GET", headers = {} }: Asked) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const asked = request({ port: server.port, host: "127.0.0.1", path, method, headers }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode!, body }));
      });
      asked.once("error", reject).end();
    });
  return { ask, done, set: (next: NodeState) => (state = next) };
}

test("an action is done by POST, and its answer passed on", async () => {
  const { ask, done } = await door();
  assert.deepEqual(await ask({ path: "/-/reload", method: "POST" }), { status: 422, body: '{"isTaken":false}\n' });
  assert.equal((await ask({ path: "/-/reload" })).status, 405);
  assert.deepEqual(done, ["reload"]);
  assert.equal((await ask({ path: "/-/broken", method: "POST" })).status, 500);
  assert.equal((await ask({ path: "/toString", method: "POST" })).status, 405);
});

test("with a token nothing but the health is told without it", async () => {
  const { ask, done } = await door({ token: "operators-token" });
  const authorization = "Bearer operators-token";
  assert.equal((await ask({ path: "/-/health" })).status, 200);
  for (const path of ["/metrics", "/-/node", "/nothing"]) assert.equal((await ask({ path })).status, 401, path);
  for (const wrong of ["Bearer operators-tokem", "Bearer", "Basic operators-token", "operators-token"]) {
    assert.equal((await ask({ path: "/-/reload", method: "POST", headers: { authorization: wrong } })).status, 401);
  }
  assert.deepEqual(done, []);
  assert.equal((await ask({ path: "/metrics", headers: { authorization } })).status, 200);
  assert.equal((await ask({ path: "/-/reload", method: "POST", headers: { authorization } })).status, 422);
});

test("without a token a page in a browser of this machine is not an operator", async () => {
  const { ask, done } = await door();
  const headers = { origin: "https://page.example.com" };
  assert.equal((await ask({ path: "/-/reload", method: "POST", headers })).status, 403);
  assert.equal((await ask({ path: "/-/node", headers: { host: "rebound.example.com" } })).status, 403);
  assert.deepEqual(done, []);
});

test("a door that everybody reaches is not opened without a token", async () => {
  const options = { port: 0, metrics: [], describe: () => ({}), state: () => "serving" as const };
  for (const address of ["0.0.0.0", "::", "192.0.2.1"]) {
    await assert.rejects(listenForOperators({ ...options, address }), SettingError);
  }
});

test("readyz tells the truth, also without a token; livez only that the process answers", async () => {
  const { ask, set } = await door({ token: "operators-token" });
  for (const [state, status, body] of [
    ["starting", 503, "starting\n"],
    ["serving", 200, "ready\n"],
    ["draining", 503, "draining\n"],
  ] as const) {
    set(state);
    assert.deepEqual(await ask({ path: "/-/readyz" }), { status, body });
    assert.equal((await ask({ path: "/-/livez" })).status, 200);
  }
});

test("the token is also taken as Basic: alone, as OvenMediaEngine's API has it, or as a password", async () => {
  const { ask } = await door({ token: "operators-token" });
  const status = async (credentials: string) => {
    const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
    return (await ask({ path: "/-/drain", headers: { authorization } })).status;
  };
  assert.equal(await status("operators-token"), 200);
  assert.equal(await status("prometheus:operators-token"), 200);
  assert.equal(await status("operators-token:"), 401);
  assert.equal(await status("x:y"), 401);
});
