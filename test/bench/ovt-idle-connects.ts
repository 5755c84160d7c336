// What do strangers cost who connect from everywhere and say nothing, or only that they want TLS? Memory of an origin after
// 5,000 such connections, and until when it keeps them. Wanted: at most 20 MB, all gone after the time for a first request.
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { openTestNode, portOf, until } from "../support/ovt-kit.ts";

const count = 5_000;
/** A record of 512 bytes that never comes. */
const beginningOfTls = Uint8Array.of(0x16, 3, 1, 2, 0);
const random = (below: number): number => Math.floor(Math.random() * below);

async function beStrangers(port: number): Promise<void> {
  let closed = 0;
  for (let i = 0; i < count; i++) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    if (i % 2 === 0) socket.write(beginningOfTls);
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
  const visit = async (): Promise<number> => {
    const { connectionsOpened } = publisher.stats;
    const before = process.memoryUsage.rss();
    const strangers = fork(import.meta.filename, [String(portOf(server))]);
    await until(() => publisher.stats.connectionsOpened === connectionsOpened + count, "all have connected", 20_000);
    const bytes = process.memoryUsage.rss() - before;
    await until(() => publisher.stats.connectionsLive === 0, "all are gone", 12_000);
    await once(strangers, "exit");
    return bytes / 1e6;
  };
  // The first visit makes the heap grow to what a busy node has anyway: any TCP server in Node pays some 25 MB for it once.
  const first = await visit();
  const megabytes = await visit();
  server.close();
  await origin.close();
  console.log(
    `ovt-idle-connects: ${count} cost ${megabytes.toFixed(1)} MB, ${(megabytes / 20).toFixed(2)} of what is allowed; ` +
      `the first time after a start ${first.toFixed(1)} MB`,
  );
}

const [port] = process.argv.slice(2);
if (port === undefined) await measure();
else await beStrangers(Number(port));
