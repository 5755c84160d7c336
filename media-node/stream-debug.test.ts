// The page about one stream names each of these faults, seeded one at a time into a hub with a source made by hand.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { descriptionOf, opusTrack, videoSample, videoTrack } from "../test/support/synthetic-stream.ts";
import { MemoryLogger, settle, TestHub } from "../test/support/webrtc-room.ts";
import type { LiveFacts } from "./api/stream-page/stream-facts.ts";
import { streamPages } from "./api/stream-page/stream-page.ts";
import type { Finding } from "./api/stream-page/diagnose-stream.ts";
import { StatisticsBook } from "./core/statistics-book.ts";
import type { StreamDescription } from "./core/stream.ts";
import { EventLog } from "./flow/event-log.ts";
import { StreamDebug } from "./stream-debug.ts";

const name = { vhost: "default", app: "app", stream: "live" };

async function page(t: TestContext, description: StreamDescription = descriptionOf([videoTrack, opusTrack])) {
  const room = new TestHub(description);
  const { clock, hub } = room;
  const book = new StatisticsBook(hub, clock);
  const events = new EventLog(clock);
  const seen: { lease: LiveFacts["lease"]; webrtc: LiveFacts["webrtc"]; state: "serving" | "draining" } = {
    lease: undefined,
    webrtc: undefined,
    state: "serving",
  };
  const debug = new StreamDebug({
    nodeId: "edge-1",
    state: () => seen.state,
    hub,
    book,
    events,
    clock,
    leaseOf: () => seen.lease,
    webrtcOf: () => seen.webrtc,
  });
  const handle = streamPages(debug);
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    book.close();
    await hub.close({ code: "shutdown" });
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const html = async () => (await fetch(`http://127.0.0.1:${port}/-/streams/default/app/live`)).text();
  const json = async () =>
    (await (await fetch(`http://127.0.0.1:${port}/-/streams/default/app/live?format=json`)).json()) as {
      findings: Finding[];
    };
  let at = 0;
  /** Plays for so long: 30 pictures a second, a key frame each second unless told otherwise. */
  const play = (ms: number, { isKeyframe = (index: number) => index % 30 === 0, perSecond = 30 } = {}) => {
    for (let elapsed = 0; elapsed < ms; elapsed += 1_000 / perSecond) {
      room.source.push(videoSample(at, { isKeyframe: isKeyframe(at) }));
      at += 30 / perSecond;
      clock.advance(1_000 / perSecond);
    }
  };
  await hub.acquire(name, { protocol: "whep" });
  return { room, clock, hub, events, seen, html, json, play };
}

/** The page's words and the machine's: what it names, in both. */
async function found(of: Awaited<ReturnType<typeof page>>): Promise<string[]> {
  const { findings } = await of.json();
  const html = await of.html();
  for (const { code } of findings) assert.match(html, new RegExp(`data-code="${code}"`));
  return findings.map(({ code }) => code);
}

test("nothing is said of a stream that is well, and all of it is shown", async (t) => {
  const stream = await page(t);
  stream.play(3_000);
  assert.deepEqual(await found(stream), []);
  const html = await stream.html();
  for (const text of ["test://live", "edge-1", "h264", "30 frames", "whep 1", "Nothing is wrong"])
    assert.ok(html.includes(text), text);
});

type Seed = (stream: Awaited<ReturnType<typeof page>>) => void | Promise<void>;

const faults: [code: string, what: string, seed: Seed, description?: StreamDescription][] = [
  [
    "source-lost",
    "every source fails",
    async ({ play, room, clock }) => {
      play(1_000);
      room.openers.set("test", () => Promise.reject(new Error("refused")));
      room.source.end({ code: "closed" });
      await settle();
      clock.advance(500);
      await settle();
    },
  ],
  [
    "source-silent",
    "a source that is connected and silent",
    ({ play, clock }) => {
      play(1_000);
      clock.advance(2_500);
    },
  ],
  [
    "source-unstable",
    "a source that is lost again and again",
    async ({ play, room, clock }) => {
      for (let time = 0; time < 3; time++) {
        play(1_000);
        room.source.end({ code: "closed" });
        for (let turn = 0; turn < 5; turn++) {
          await settle();
          clock.advance(200);
        }
      }
      play(3_000);
    },
  ],
  ["keyframes-rare", "key frames that do not come", ({ play }) => play(12_000, { isKeyframe: (index) => index === 0 })],
  [
    "b-frames",
    "B-frames",
    ({ play, room }) => {
      play(1_000);
      room.source.push({ ...videoSample(30), pts: 33 * 3_000 });
    },
  ],
  [
    "frames-missing",
    "fewer pictures than announced",
    ({ play }) => play(3_000, { perSecond: 6, isKeyframe: (index) => index % 30 === 0 }),
  ],
  [
    "clock-off",
    "a source whose clock is wrong",
    ({ play }) => play(1_000),
    { ...descriptionOf([videoTrack]), epochMs: Date.UTC(2025, 0, 1) },
  ],
  [
    "time-backwards",
    "timestamps that go back",
    ({ play, hub }) => {
      play(1_000);
      hub.find(name)!.publish(videoSample(1));
    },
  ],
  [
    "format-changed",
    "tracks that change with a jump",
    ({ play, hub }) => {
      play(1_000);
      hub.find(name)!.describe(descriptionOf([videoTrack]), true);
      play(1_000);
    },
  ],
  [
    "aac-sound",
    "sound that WebRTC cannot carry",
    ({ play, room }) => {
      play(1_000);
      room.source.push({ trackId: 1, pts: 0, dts: 0, duration: 1_024, isKeyframe: true, data: Uint8Array.of(1, 2, 3) });
    },
    descriptionOf([videoTrack, { ...opusTrack, codec: "aac" }]),
  ],
  [
    "many-hops",
    "a way through too many nodes",
    ({ play }) => play(1_000),
    { ...descriptionOf([videoTrack]), path: ["origin", "relay-1", "relay-2"] },
  ],
  [
    "lease-standby",
    "another origin that owns the stream",
    ({ play, seen }) => {
      play(1_000);
      seen.lease = "standby";
    },
  ],
  [
    "lease-unknown",
    "a store that does not answer",
    ({ play, seen }) => {
      play(1_000);
      seen.lease = "unknown";
    },
  ],
  [
    "viewers-lose",
    "viewers that lose packets",
    ({ play, seen }) => {
      play(1_000);
      seen.webrtc = { lossShare: 0.12, roundTripMs: 40, drops: 0, viewers: 3 };
    },
  ],
  [
    "viewers-slow",
    "viewers that are too slow",
    ({ play, seen }) => {
      play(1_000);
      seen.webrtc = { lossShare: 0, roundTripMs: 40, drops: 7, viewers: 3 };
    },
  ],
  [
    "node-drains",
    "a node that goes",
    ({ play, seen }) => {
      play(1_000);
      seen.state = "draining";
    },
  ],
];

for (const [code, what, seed, description] of faults) {
  test(`the page names ${what}`, async (t) => {
    const stream = await page(t, description);
    await seed(stream);
    assert.deepEqual(await found(stream), [code]);
  });
}

test("a stream that is not here is said so, with the last that was heard of it; events are kept to fifty", async (t) => {
  const { events, clock, json, hub } = await page(t);
  await hub.end(name, { code: "deleted" });
  const kept = new MemoryLogger();
  const log = events.wrap(kept).with({ app: "app", stream: "live" });
  for (let index = 0; index < 60; index++) log.info("pull is live");
  log.warn("pull attempt failed", { error: "connection refused <script>" });
  clock.advance(10);
  const answer = (await json()) as unknown as { findings: Finding[]; events: { event: string }[] };
  assert.equal(answer.events.length, 50);
  assert.deepEqual(
    answer.findings.map(({ code }) => code),
    ["not-here"],
  );
  assert.match(answer.findings[0]!.sentence, /pull attempt failed: connection refused/);
  assert.equal(kept.lines.length, 61, "every line is written, too");
});

test("what comes from outside stays text on the page", async (t) => {
  const { events, html } = await page(t);
  events.wrap(new MemoryLogger()).warn("x", { app: "app", stream: "live", error: "<script>alert(1)</script>" });
  assert.doesNotMatch(await html(), /<script>/);
});
