// Cameras come and go a thousand times: nothing may be left behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { UdpTransport } from "../../media-node/rtsp/media-transport.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { collectSource } from "../support/collect-source.ts";
import { churnCameras } from "../support/rtsp-churn.ts";
import { ScriptedCamera } from "../support/scripted-camera.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function cycle(clock: ManualClock, endsIt: "us" | "camera" | "refusal"): Promise<void> {
  const refusal = { answer: () => ({ status: "404 Not Found" }) };
  const camera = new ScriptedCamera(endsIt === "refusal" ? refusal : {});
  const open = openRtspSource({ dial: camera.dial, clock, logger: silentLogger });
  const opening = open("rtsp://camera/live", { signal: new AbortController().signal });
  if (endsIt === "refusal") return assert.rejects(opening);
  const source = await opening;
  const { until, ended } = collectSource(source);
  camera.pictures(0, 3);
  await until((samples) => samples.length >= 3);
  if (endsIt === "camera") {
    camera.end();
    await ended;
  }
  await source.close({ code: "done" });
}

test("1,000 pulls, ended by us, by the camera or by a refusal, leave no timer and no memory", async () => {
  const clock = new ManualClock();
  const ways = ["us", "camera", "refusal"] as const;
  const run = async (count: number): Promise<number> => {
    for (let index = 0; index < count; index++) await cycle(clock, ways[index % 3]!);
    assert.equal(clock.pendingTimers, 0);
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  const before = await run(200);
  const grown = (await run(1_000)) - before;
  assert.ok(grown < 4 * 1024 * 1024, `${grown} bytes grown in 1,000 pulls`);
});

test("datagram ports are given back", async () => {
  const sink = { onRtp() {}, onRtcp() {} };
  for (let index = 0; index < 100; index++) {
    const transport = await UdpTransport.open(2, "127.0.0.1", sink);
    assert.match(transport.request(1, "RTP/AVP"), /client_port=\d*[02468]-\d*[13579]$/);
    await transport.close();
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    process.getActiveResourcesInfo().filter((name) => name.startsWith("UDP")),
    [],
  );
});

test("real connections to 20 cameras at a time leave no socket and no timer (npm run soak -- rtsp-churn is the long run)", async () => {
  for (const { sockets, timers } of await churnCameras(20, 200)) assert.deepEqual([sockets, timers], [0, 0]);
});
