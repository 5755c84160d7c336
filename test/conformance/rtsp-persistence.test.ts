// Cameras that are busy, forgetful, silent or half dead, and the pull life cycle: it tries again until they are well, with
// one connection however many watch, and says nothing of anybody's password.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { StreamHub, type StreamHold } from "../../media-node/core/stream-hub.ts";
import type { PullPlan } from "../../media-node/core/pull-plan.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Logger } from "../../media-node/flow/logger.ts";
import { probeRtsp } from "../../media-node/rtsp/probe-rtsp.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { ScriptedCamera, type CameraScript } from "../support/scripted-camera.ts";
import { until } from "../support/until.ts";

const password = "canary-password";
const token = "canary-token";

interface World {
  readonly clock: ManualClock;
  readonly hub: StreamHub;
  readonly lines: string[];
  readonly logger: Logger;
  readonly cameras: ScriptedCamera[];
  /** Holds the stream; gives up the test where it cannot be had. */
  readonly hold: (protocol?: "whep" | "llhls") => Promise<StreamHold>;
}

/** A hub whose one rule names a camera; `script` says what the camera does on its n-th connection. */
function worldOf(t: TestContext, script: (connection: number) => CameraScript, plan: Partial<PullPlan> = {}): World {
  const clock = new ManualClock();
  const lines: string[] = [];
  const note = (event: string, fields?: object): void => void lines.push(`${event} ${JSON.stringify(fields)}`);
  const logger: Logger = { debug: note, info: note, warn: note, error: note, with: () => logger };
  const cameras: ScriptedCamera[] = [];
  const open = openRtspSource({
    clock,
    logger,
    random: () => 0.25,
    dial: (host, port, signal) => {
      const camera = new ScriptedCamera(script(cameras.length));
      cameras.push(camera);
      return camera.dial(host, port, signal);
    },
  });
  const hub = new StreamHub({
    clock,
    logger,
    nodeId: "node",
    openers: new Map([["rtsp", open]]),
    plan: async () => ({
      urls: [`rtsp://viewer:${password}@camera/live?token=${token}`],
      from: "rule",
      noInputTimeoutMs: 3_000,
      unusedTimeoutMs: 10_000,
      graceMs: 60_000,
      isPersistent: false,
      ...plan,
    }),
  });
  t.after(() => hub.close({ code: "done" }));
  return {
    clock,
    hub,
    lines,
    logger,
    cameras,
    async hold(protocol = "whep") {
      const result = await hub.acquire({ vhost: "v", app: "app", stream: "s" }, { protocol });
      if (result.kind !== "stream") assert.fail(result.reason);
      return result.hold;
    },
  };
}

/** Lets time pass in small steps, with the event loop turning in between, until `isTrue`. */
async function pass(clock: ManualClock, what: string, isTrue: () => boolean, mostMs = 60_000): Promise<void> {
  for (let ms = 0; ms < mostMs && !isTrue(); ms += 50) {
    clock.advance(50);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(isTrue(), `${what}: not within ${mostMs} ms`);
}

function collect({ stream }: StreamHold): Sample[] {
  const samples: Sample[] = [];
  stream.addReader({ onSample: (sample) => void samples.push(sample), onEnd() {} });
  return samples;
}

const refuse = (method: string, status: string): CameraScript => ({
  answer: (request) => (request.method === method ? { status } : undefined),
});
/** Accepts the connection and never says anything. */
const mute: CameraScript = { answer: () => false };

const troubles: [name: string, trouble: CameraScript][] = [
  ["503 to DESCRIBE", refuse("DESCRIBE", "503 Service Unavailable")],
  ["453 to SETUP", refuse("SETUP", "453 Not Enough Bandwidth")],
  ["454 to PLAY", refuse("PLAY", "454 Session Not Found")],
  ["500 to PLAY", refuse("PLAY", "500 Internal Server Error")],
  ["silence", mute],
  ["what is no RTSP", { answer: () => ({ raw: "HTTP/1.1 400 Bad Request\r\n\r\n<html>" }) }],
];
for (const [name, trouble] of troubles) {
  test(`a camera that answers with ${name} on its way back is tried again until it is well`, async (t) => {
    const world = worldOf(t, (connection) => (connection >= 1 && connection <= 3 ? trouble : {}));
    const samples = collect(await world.hold());
    world.cameras[0]!.pictures(0, 3);
    await until("the first pictures", 5_000, () => samples.length >= 2);
    world.cameras[0]!.end();
    await pass(world.clock, "a fifth connection that plays", () => {
      const camera = world.cameras[4];
      return camera !== undefined && camera.requests.some(({ method }) => method === "PLAY");
    });
    const before = samples.length;
    world.cameras[4]!.pictures(0, 3);
    await until("pictures again", 5_000, () => samples.length >= before + 2);
    assert.equal(samples[before]!.isKeyframe, true);
    for (const [index, { dts }] of samples.slice(1).entries()) assert.ok(dts > samples[index]!.dts);
  });
}

test("a connection that is half open, and a session the camera forgot, are noticed and made anew", async (t) => {
  const world = worldOf(t, () => ({
    answer: ({ method }) => (method === "GET_PARAMETER" ? { status: "454 Session Not Found" } : undefined),
  }));
  const samples = collect(await world.hold());
  world.cameras[0]!.pictures(0, 3);
  await until("the first pictures", 5_000, () => samples.length >= 2);
  // Half open: nothing comes, nothing closes.
  await pass(world.clock, "a second connection", () => world.cameras.length === 2, 3_500);
  await until("the second plays", 5_000, () => world.cameras[1]!.requests.some(({ method }) => method === "PLAY"));
  // Media flows, but the keep-alive is answered with 454.
  let picture = 0;
  await pass(world.clock, "a third connection", () => {
    world.cameras[1]!.pictures(picture, picture);
    picture++;
    return world.cameras.length === 3;
  });
});

test("however many watch, by whatever protocol, a camera has one connection", async (t) => {
  const world = worldOf(t, () => ({}));
  const holds = await Promise.all(Array.from({ length: 200 }, (_, index) => world.hold(index % 2 ? "whep" : "llhls")));
  assert.equal(world.cameras.length, 1);
  assert.equal(new Set(holds.map(({ stream }) => stream)).size, 1);
  for (const hold of holds) hold.release();
});

test("a persistent pull outlives its viewers and is tried for ever; any other is hung up on, with TEARDOWN", async (t) => {
  for (const isPersistent of [true, false]) {
    const world = worldOf(t, () => ({}), { isPersistent, noInputTimeoutMs: 1e9 });
    const hold = await world.hold();
    hold.release();
    const goodbye = world.cameras[0]!.request("TEARDOWN");
    for (let second = 0; second < 20; second++) {
      world.clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(hold.stream.isClosed, !isPersistent);
    if (!isPersistent) await goodbye;
    else {
      world.cameras[0]!.end();
      await pass(world.clock, "a new connection without any viewer", () => world.cameras.length >= 2);
    }
  }
});

test("neither user nor password nor token stands in a log line, an answer or a probe, whatever the camera does", async (t) => {
  const moved = {
    answer: () => ({ status: "302 Found", headers: [`Location: rtsp://x:${password}@other/?t=${token}`] }),
  };
  const locked = {
    answer: () => ({ status: "401 Unauthorized", headers: ['WWW-Authenticate: Digest realm="r", nonce="n"'] }),
  };
  const scripts: CameraScript[] = [{}, moved, locked, mute, ...troubles.map(([, trouble]) => trouble)];
  for (const script of scripts) {
    const world = worldOf(t, () => script, { retryCount: 0 });
    let answer = "";
    const ask = async (): Promise<void> => {
      const result = await world.hub.acquire({ vhost: "v", app: "app", stream: "s" }, { protocol: "whep" });
      answer = result.kind === "stream" ? JSON.stringify(result.hold.stream.description) : result.reason;
    };
    void ask();
    await pass(world.clock, "an answer", () => answer !== "");
    const camera = new ScriptedCamera(script);
    const probing = probeRtsp(`rtsp://viewer:${password}@camera/live?token=${token}`, {
      clock: world.clock,
      logger: world.logger,
      dial: camera.dial,
      signal: new AbortController().signal,
    });
    let probe = "";
    void probing.then((result) => (probe = JSON.stringify(result)));
    await pass(world.clock, "a probe", () => probe !== "");
    const said = [...world.lines, answer, probe].join("\n");
    assert.doesNotMatch(said, /canary|viewer:/, said);
  }
});
