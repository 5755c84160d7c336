import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { until } from "../test/support/until.ts";
import { listenForEdges } from "./ovt-listener.ts";

/** The kernel's timer of an IPv4 connection, as /proc/net/tcp has it: 2 is the one for keep-alive. */
function kernelTimer(localPort: number, remotePort: number): number | undefined {
  const hex = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n")) {
    const [, local = "", remote = "", , , timer = ""] = line.trim().split(/\s+/);
    if (local.endsWith(hex(localPort)) && remote.endsWith(hex(remotePort))) return Number(timer.split(":")[0]);
  }
  return undefined;
}

test("the kernel asks edges that say nothing whether they are still there", async () => {
  const accepted: Duplex[] = [];
  const listener = await listenForEdges(0, "127.0.0.1", (connection) => accepted.push(connection));
  const edge = connect(listener.port, "127.0.0.1");
  await once(edge, "connect");
  await until("the connection", 5_000, () => accepted.length === 1);
  assert.equal(kernelTimer(listener.port, edge.localPort!), 2);
  edge.destroy();
  await listener.close();
});

test("an edge that has said all it will is answered to the end, and the connection is closed from both sides", async () => {
  const listener = await listenForEdges(0, "127.0.0.1", (connection) => {
    connection.on("error", () => {});
    connection.end("the last of it");
    connection.resume();
  });
  const edge = connect(listener.port, "127.0.0.1");
  let got = "";
  edge.on("data", (chunk) => (got += String(chunk)));
  edge.end();
  await once(edge, "close");
  assert.equal(got, "the last of it");
  await listener.close();
});
