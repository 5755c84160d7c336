// Do viewers notice 5,000 clients who send a request one byte a second, or take an answer as slowly? Time of a part for 200
// good viewers, alone and beside the slow ones, in one run. Wanted: p99 at most twice as long, and the slow ones cut off.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { loadavg } from "node:os";
import { startLlhlsEdge } from "../support/llhls-edge.ts";
import { RawHttp } from "../support/raw-http.ts";

const slow = 5_000;
const good = 200;
const rounds = 40;

/** In a process of its own: opens the slow connections, keeps them trickling, tells how many are left when asked. */
async function crawl(port: number, path: string): Promise<void> {
  const sockets = new Set<Socket>();
  const trickling: Socket[] = [];
  for (let index = 0; index < slow; index++) {
    const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.1.${1 + (index % 200)}` });
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    // Every other one asks for a part and does not read.
    if (index % 2 === 0) {
      socket.pause();
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(40));
    } else {
      socket.resume();
      socket.write("GET /app/str");
      trickling.push(socket);
    }
    if (index % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  process.send!("open");
  // Each a byte a second, and no two at once: clients know nothing of each other.
  let turn = 0;
  setInterval(() => {
    turn = (turn + 1) % 100;
    for (let at = turn; at < trickling.length; at += 100) if (!trickling[at]!.destroyed) trickling[at]!.write("e");
  }, 10);
  process.on("message", () => process.send!(sockets.size));
}

/** Good viewers fetch the part in turns of their own. @returns ms of each fetch, ascending */
async function timesOf(clients: readonly RawHttp[], path: string): Promise<number[]> {
  const times: number[] = [];
  const view = async (client: RawHttp, index: number): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, index));
    for (let round = 0; round < rounds; round++) {
      const startMs = performance.now();
      const { status } = await client.get(path);
      assert.equal(status, 200);
      times.push(performance.now() - startMs);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await Promise.all(clients.map(view));
  return times.sort((a, b) => a - b);
}

async function measure(): Promise<void> {
  const edge = await startLlhlsEdge({ partMs: 200, segmentMs: 6_000 });
  try {
    const clients = Array.from({ length: good }, () => new RawHttp({ port: edge.port }));
    const text = async (path: string): Promise<string> =>
      (await clients[0]!.get(`/app/stream/${path}`, "Accept-Encoding: identity\r\n")).body.toString();
    const playlist = await text(/^chunklist_0_video\S+/m.exec(await text("llhls.m3u8"))![0]);
    const path = `/app/stream/${[...playlist.matchAll(/EXT-X-PART:[^\n]*URI="([^"]+)"/g)].at(-1)![1]!}`;
    await timesOf(clients, path);
    const alone = await timesOf(clients, path);
    const child = fork(import.meta.filename, [`${edge.port}`, path]);
    await once(child, "message");
    const beside = await timesOf(clients, path);
    // Ten seconds for a head, and for an answer as long as 8 kB a second take: 40 parts of 60 kB would be five minutes, so
    // these are still there; the others are gone.
    await new Promise((resolve) => setTimeout(resolve, 25_000));
    child.send("left");
    const [left] = await once(child, "message");
    child.kill();
    const at = (times: readonly number[], share: number): number => times[Math.floor(times.length * share)]!;
    const ratio = at(beside, 0.99) / at(alone, 0.99);
    console.log(
      `llhls-slow-sockets: p99 ${ratio.toFixed(2)} times as long (wanted: 2), ` +
        `${at(alone, 0.99).toFixed(1)} ms alone, ${at(beside, 0.99).toFixed(1)} ms beside ${slow} slow clients, ` +
        `${String(left)} of them left after 25 s, load average ${loadavg()[0]!.toFixed(1)}`,
    );
    // Both shares of a run of a few seconds wander by a fifth on a machine with two cores.
    assert.ok(ratio <= 2 * 1.2, "good viewers wait for the slow ones");
    assert.ok(Number(left) <= slow / 2, "who does not finish a head is still there");
  } finally {
    await edge.close();
  }
}

const [port, path] = process.argv.slice(2);
if (port !== undefined && path !== undefined) await crawl(Number(port), path);
else await measure();
