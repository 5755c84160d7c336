// What do strangers cost who connect from everywhere and say nothing? Memory of an origin after 5,000 such connections,
// and until when it keeps them. Wanted: at most 20 MB, all gone after the time for a first request.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { openTestNode, portOf, until } from "../support/ovt-kit.ts";

const count = 5_000;
const random = (below: number): number => Math.floor(Math.random() * below);

async function beStrangers(port: number): Promise<void> {
  let closed = 0;
  for (let i = 0; i < count; i++) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("close", () => ++closed === count && process.disconnect());
    if (i % 100 === 99) await once(socket, "connect");
  }
}

async function measure(): Promise<void> {
  const secrets = ["secret"];
  const origin = openTestNode("origin", { publisher: { secrets } });
  const { publisher } = origin;
  const server = createServer((socket) => publisher.accept(socket, `192.0.${random(256)}.${random(256)}`)).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  await sleep(200);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const strangers = fork(import.meta.filename, [String(portOf(server))]);
  await until(() => publisher.stats.connectionsOpened === count, "all have connected", 20_000);
  const megabytes = (process.memoryUsage.rss() - before) / 1e6;
  await until(() => publisher.stats.connectionsLive === 0, "all are gone", 12_000);
  await once(strangers, "exit");
  server.close();
  await origin.close();
  assert.equal(publisher.stats.connectionsOpened, count);
  console.log(
    `ovt-idle-connects: ${count} cost ${megabytes.toFixed(1)} MB, ${(megabytes / 20).toFixed(2)} of what is allowed`,
  );
}

const [port] = process.argv.slice(2);
if (port === undefined) await measure();
else await beStrangers(Number(port));
