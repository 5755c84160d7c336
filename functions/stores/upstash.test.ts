import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { StoreUnavailable } from "#cluster/store/contract.ts";
import { startRestStore, type RestStore } from "../../test/support/rest-store.ts";
import { nodeRecord, secret } from "../../test/support/router.ts";
import { UpstashReader } from "./upstash.ts";

const name = { vhost: "default", app: "app", stream: "stream" };
/** For what has to succeed on a busy machine. */
const patientMs = 10_000;
let store: RestStore;

before(async () => {
  store = await startRestStore(secret);
  store.nodes = [nodeRecord("edge1")];
  store.origins = { "app/stream": ["ovt://origin:9000/app/ström"] };
});
after(() => store.close());
beforeEach(() => {
  store.isReadOnly = store.isOld = store.isSilent = false;
  store.reads = store.requests = 0;
});

test("reads nodes and origins in one request", async () => {
  const snapshot = await new UpstashReader(store.url, store.token, patientMs).snapshot(name);
  assert.equal(snapshot.nodes.length, 1);
  assert.deepEqual(snapshot.origins, ["ovt://origin:9000/app/ström"]);
  assert.equal(store.reads, 1);
});

test("reads one stream's origins in one request", async () => {
  const reader = new UpstashReader(store.url, store.token, patientMs);
  assert.deepEqual(await reader.lookup(name), ["ovt://origin:9000/app/ström"]);
  assert.deepEqual(await reader.lookup({ ...name, stream: "other" }), []);
  assert.equal(store.requests, 2);
});

test("with a token that may only read every reading is one request, the first included", async () => {
  store.isReadOnly = true;
  const reader = new UpstashReader(store.url, store.token, patientMs);
  for (let i = 0; i < 3; i++) assert.equal((await reader.snapshot(name)).nodes.length, 1);
  assert.equal(store.requests, 3);
});

test("a server that knows no reading scripts is asked in the old way, after one try", async () => {
  store.isOld = true;
  const reader = new UpstashReader(store.url, store.token, patientMs);
  for (let i = 0; i < 3; i++) assert.equal((await reader.snapshot(name)).nodes.length, 1);
  assert.equal(store.requests, 4);
});

test("a store that says nothing, refuses, or is not there is unavailable", async () => {
  store.isSilent = true;
  await assert.rejects(new UpstashReader(store.url, store.token).snapshot(name), StoreUnavailable);
  store.isSilent = false;
  await assert.rejects(new UpstashReader(store.url, "another token").snapshot(name), StoreUnavailable);
  await assert.rejects(new UpstashReader("http://127.0.0.1:1", "token").snapshot(name), StoreUnavailable);
});
