import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { videoSample } from "../test/support/synthetic-stream.ts";
import { until } from "../test/support/until.ts";
import { settle, TestHub } from "../test/support/webrtc-room.ts";
import { importSigningKey } from "./cluster/ticket/signing-key.ts";
import { signTicket, type TicketScope } from "./cluster/ticket/ticket.ts";
import type { ViewerTarget } from "./core/guest.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { silentLogger } from "./flow/logger.ts";
import { WarmDoor } from "./warm-door.ts";

const key = await importSigningKey("a secret for tests only");
const name = { vhost: "default", app: "app", stream: "live" };

function node({ hasKey = true } = {}) {
  const room = new TestHub();
  const { hub, clock } = room;
  const cut = Promise.withResolvers<boolean>();
  let tries = 0;
  let holds = 0;
  const acquire: StreamHub["acquire"] = (...asked) => (holds++, hub.acquire(...asked));
  const warm = [
    () => {
      tries++;
      return cut.promise;
    },
  ];
  const door = new WarmDoor({
    nodeId: "self",
    key: hasKey ? key : undefined,
    hub: { acquire },
    warm,
    clock,
    logger: silentLogger,
  });
  /** @returns the status, as soon as there is one */
  const ask = async (scope: Partial<TicketScope> = {}, method = "POST"): Promise<{ status?: number }> => {
    const said: { status?: number } = {};
    const rt = await signTicket(key, { node: "self", name, protocol: "warm", ...scope }, clock.wallMs());
    const query = new URLSearchParams({ ...(scope.name ?? name), rt });
    const response = { setHeader() {}, end() {}, writeHead: (status: number) => void (said.status = status) };
    const target = { vhost: "default", app: "-", stream: "warm", file: "", query } as ViewerTarget;
    const request = { method, resume() {} } as unknown as IncomingMessage;
    assert.ok(door.handle(request, response as unknown as ServerResponse, target));
    // Signatures are checked elsewhere than in this thread's turns.
    await until("it is looked for", 5_000, () => said.status !== undefined || tries > 0);
    return said;
  };
  const keyframe = (): void => room.source.push(videoSample(0, { isKeyframe: true, bytes: 100 }));
  return { room, clock, door, ask, cut, keyframe, tries: () => tries, holds: () => holds };
}

test("says yes when a key frame and whole segments are at hand, and holds the stream for a while", async () => {
  const { room, clock, ask, cut, keyframe, tries } = node();
  const first = await ask();
  const second = await ask();
  assert.deepEqual(room.viewers, { prewarm: 0 }, "held once, by nobody who counts");
  cut.resolve(true);
  clock.advance(100);
  await settle();
  assert.equal(first.status, undefined, "not without a key frame");
  keyframe();
  clock.advance(100);
  await until("both are answered", 5_000, () => first.status !== undefined && second.status !== undefined);
  assert.deepEqual([first.status, second.status, tries()], [200, 200, 1]);
  clock.advance(20_000);
  assert.deepEqual(room.viewers, {});
});

test("says no to a stream that is not to be had, and to one that does not get ready in time", async () => {
  const { clock, ask, keyframe, cut } = node();
  assert.equal((await ask({ name: { ...name, stream: "never" } })).status, 503);
  const late = await ask();
  keyframe();
  clock.advance(6_000);
  cut.resolve(false);
  await until("it is answered", 5_000, () => late.status !== undefined);
  assert.equal(late.status, 503);
});

test("a stream that does not get ready is held once, however often it is asked for", async () => {
  const { room, clock, door, ask, keyframe, cut, holds, tries } = node();
  cut.resolve(false);
  for (let time = 1; time <= 3; time++) {
    const asked = await ask();
    await until("it is looked for", 5_000, () => tries() === time);
    keyframe();
    clock.advance(50);
    await until("it is answered", 5_000, () => asked.status !== undefined);
    assert.equal(asked.status, 503);
  }
  assert.equal(holds(), 1);
  clock.advance(20_000);
  assert.deepEqual(room.viewers, {});
  door.close();
});

test("where one way to viewers fails the others are not looked for any more, and nothing is left when the door closes", async () => {
  const { room, clock, door, ask, cut } = node();
  const asked = await ask();
  cut.reject(new Error("broken"));
  await until("it is answered", 5_000, () => asked.status !== undefined);
  assert.equal(asked.status, 500);
  clock.advance(50);
  door.close();
  assert.deepEqual(room.viewers, {});
  await room.hub.close({ code: "done" });
  assert.equal(clock.pendingTimers, 0);
});

test("listens to nodes of its cluster only, and to what is meant for it", async () => {
  const { room, ask, door } = node();
  assert.equal((await ask({}, "GET")).status, 405);
  assert.equal((await ask({ protocol: "llhls" })).status, 401, "a viewer's ticket is for viewers");
  assert.equal((await ask({ node: "other" })).status, 401);
  assert.equal((await node({ hasKey: false }).ask()).status, 401, "without a secret nobody can prove anything");
  assert.equal(room.hub.list().length, 0);
  const viewer = { app: "app", stream: "warm", file: "" } as ViewerTarget;
  assert.equal(door.handle({} as IncomingMessage, {} as ServerResponse, viewer), false);
});
