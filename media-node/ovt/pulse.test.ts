import assert from "node:assert/strict";
import { test } from "node:test";
import { FedSource, openTestNode, until, videoSample, type TestNode } from "../../test/support/ovt-kit.ts";
import { ScriptedEdge } from "../../test/support/scripted-edge.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { parsePulse, pulseApplication, serializePulse } from "./hearth-extension.ts";

const name = { vhost: "default", app: "app", stream: "cam" };
const wallMs = Date.UTC(2026, 0, 1);

/** Closes nodes whose time stands still otherwise. */
async function close(nodes: readonly TestNode[], clocks: readonly ManualClock[]): Promise<void> {
  let isClosed = false;
  void Promise.all(nodes.map((node) => node.close())).then(() => (isClosed = true));
  await until(() => {
    for (const clock of clocks) clock.advance(100);
    return isClosed;
  }, "nodes are closed");
}

test("an edge knows how long media takes to it, and that what is overdue takes longer", async () => {
  const fed = new FedSource();
  // The edge hears at once what was sent 40 ms ago by the origin's clock.
  const clocks = { origin: new ManualClock(wallMs), edge: new ManualClock(wallMs + 40) };
  let origin: TestNode | undefined;
  const rules = { "app/cam": ["ovt://origin:9000/app/cam"] };
  const peers = () => ({ origin: origin! });
  origin = openTestNode("origin", { fed: { cam: fed }, clock: clocks.origin });
  const edge = openTestNode("edge", { rules, peers, clock: clocks.edge });
  try {
    const held = await origin.hub.acquire(name, { protocol: "llhls" });
    assert.equal(held.kind, "stream");
    fed.push(videoSample(0));
    assert.equal((await edge.hub.acquire(name, { protocol: "llhls" })).kind, "stream");
    const hopMs = () => edge.hub.list()[0]!.pull!.hopMs;
    assert.equal(hopMs(), undefined, "nothing was told yet");
    await until(() => {
      if (hopMs() === undefined) for (const clock of [clocks.origin, clocks.edge]) clock.advance(1);
      return hopMs() !== undefined;
    }, "a pulse came");
    const told = hopMs()!;
    assert.ok(told >= 39 && told < 60, `${told} ms, and what time went on while it was on its way`);
    clocks.edge.advance(1_200);
    assert.equal(hopMs(), told, "the next one may come a little later");
    clocks.edge.advance(3_000);
    assert.ok(hopMs()! > 2_650 && hopMs()! < 2_760, `${hopMs()} ms, 4.2 s after the last one`);
  } finally {
    await close([edge, origin], [clocks.origin, clocks.edge]);
  }
});

test("who does not ask for pulses is told none", async () => {
  const fed = new FedSource();
  const clock = new ManualClock(wallMs);
  const origin = openTestNode("origin", { fed: { cam: fed }, clock });
  try {
    await origin.hub.acquire(name, { protocol: "llhls" });
    fed.push(videoSample(0));
    let frames = 0;
    const told = async (extension: object): Promise<number> => {
      const edge = new ScriptedEdge(origin.publisher, { remote: "127.0.0.1" });
      await edge.ask("describe", { x_hearth: extension });
      await edge.ask("play", { x_hearth: extension });
      const media = (): number => edge.trace.packets.filter(({ payloadType }) => payloadType === 30).length;
      await until(() => media() > 0, "recent media came");
      const before = media();
      clock.advance(3_000);
      fed.push(videoSample((frames += 30)));
      await until(() => media() > before, "media came");
      edge.connection.destroy();
      return edge.trace.messages.filter(({ application }) => application === pulseApplication).length;
    };
    assert.equal(await told({ nodeId: "edge", via: ["edge"] }), 0);
    assert.ok((await told({ nodeId: "edge", via: ["edge"], wantsPulse: true })) >= 2);
  } finally {
    await close([origin], [clock]);
  }
});

test("a pulse that makes no sense is none", () => {
  assert.equal(parsePulse(serializePulse(wallMs)), wallMs);
  for (const wrong of [undefined, null, 7, "x", [], {}, { wallMs: "1" }, { wallMs: null }])
    assert.equal(parsePulse(wrong), undefined);
});
