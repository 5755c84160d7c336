import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SignallingRelay, type SignallingSocket } from "./signalling-relay.ts";

type OnMessage = (event: { data: unknown }) => void;
type OnClose = (event: { code: number; reason: string }) => void;

/** One end of a socket in memory: `receive` and `drop` are what the other side does. */
class FakeSocket implements SignallingSocket {
  readonly sent: string[] = [];
  closed: number | undefined;
  #onMessage: OnMessage = () => {};
  #onClose: OnClose = () => {};

  send(text: string): void {
    this.sent.push(text);
  }
  close(code = 1005): void {
    this.closed ??= code;
  }
  addEventListener(type: "message" | "close", listener: (event: never) => void): void {
    if (type === "message") this.#onMessage = listener as OnMessage;
    else this.#onClose = listener as OnClose;
  }
  receive(message: object | string): void {
    this.#onMessage({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }
  drop(code: number): void {
    this.#onClose({ code, reason: "" });
  }
  get messages(): Record<string, unknown>[] {
    return this.sent.map((text) => JSON.parse(text) as Record<string, unknown>);
  }
}

/** A relay with `nodes` to go on to; waiting moves the clock. */
function relay(...nodes: (FakeSocket | undefined)[]) {
  const player = new FakeSocket();
  const first = new FakeSocket();
  const clock = { nowMs: 0 };
  const dialled: number[] = [];
  const options = {
    dial: () => {
      dialled.push(clock.nowMs);
      return Promise.resolve(nodes.shift());
    },
    wait: (ms: number) => {
      clock.nowMs += ms;
      return Promise.resolve();
    },
    nowMs: () => clock.nowMs,
  };
  new SignallingRelay(player, options).start(first);
  return { player, first, clock, dialled };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const request = { command: "request_offer" };
const offer = { command: "offer", id: 7, peer_id: 0, sdp: { type: "offer", sdp: "v=0" }, candidates: [] };

describe("while the node is well", () => {
  test("messages pass both ways as they came", () => {
    const { player, first } = relay();
    player.receive('{"command": "request_offer" }');
    first.receive(offer);
    player.receive({ command: "answer", id: 7, peer_id: 0 });
    assert.deepEqual(first.sent, ['{"command": "request_offer" }', '{"command":"answer","id":7,"peer_id":0}']);
    assert.deepEqual(player.messages, [offer]);
  });

  test("the player's leaving ends the node's session, and a refusal passes on with its reason", () => {
    const left = relay();
    left.player.drop(1001);
    assert.equal(left.first.closed, 1000);
    const refused = relay();
    refused.player.receive(request);
    refused.first.receive({ code: 404, error: "Cannot create offer" });
    refused.first.drop(4404);
    assert.deepEqual(refused.player.messages, [{ code: 404, error: "Cannot create offer" }]);
    assert.equal(refused.player.closed, 4404);
  });

  test("what is no message ends the side that sent it", () => {
    for (const bad of ["", "x", "[]", "1", '{"a":', "x".repeat(70_000)]) {
      const { player } = relay();
      player.receive(bad);
      assert.equal(player.closed, 1008);
    }
  });
});

describe("when the node goes", () => {
  test("a playing viewer is told to stop, and its new request goes to the next node", async () => {
    const next = new FakeSocket();
    const { player, first } = relay(next);
    player.receive(request);
    first.receive(offer);
    first.drop(1006);
    await settled();
    assert.deepEqual(player.messages.at(-1), { command: "stop", id: 7, peer_id: 0 });
    player.receive({ command: "candidate", id: 7, candidates: [] });
    player.receive(request);
    assert.deepEqual(next.messages, [request]);
    next.receive({ ...offer, id: 8 });
    player.receive({ command: "answer", id: 8 });
    assert.deepEqual(next.messages.at(-1), { command: "answer", id: 8 });
    assert.equal(player.closed, undefined);
  });

  test("a viewer who waits for an offer gets it from the next node, without noticing", async () => {
    const next = new FakeSocket();
    const { player, first } = relay(next);
    player.receive(request);
    first.receive({ code: 503, error: "This node takes no new viewers" });
    first.drop(1013);
    await settled();
    assert.deepEqual(next.messages, [request]);
    assert.deepEqual(player.messages, []);
  });

  test("a draining node's own stop passes on; its player asks again and is taken over", async () => {
    const next = new FakeSocket();
    const { player, first } = relay(next);
    player.receive(request);
    first.receive(offer);
    first.receive({ command: "stop", id: 7, peer_id: 0 });
    player.receive(request);
    first.drop(1012);
    await settled();
    assert.deepEqual(next.messages, [request]);
  });

  test("while there is no other node it waits longer each time, then says so", async () => {
    const { player, first, dialled } = relay();
    player.receive(request);
    first.drop(1006);
    await settled();
    assert.deepEqual(dialled, [0, 250, 750, 1_750, 3_750, 5_750, 7_750, 9_750]);
    assert.equal(player.closed, 1013);
    assert.equal(player.messages[0]!["code"], 503);
  });

  test("nodes that fail one after another do not keep a player for ever", async () => {
    const nodes = Array.from({ length: 20 }, () => new FakeSocket());
    const { player, first } = relay(...nodes);
    player.receive(request);
    for (const node of [first, ...nodes]) {
      if (player.closed !== undefined) break;
      node.drop(1011);
      await settled();
    }
    assert.equal(player.closed, 1013);
  });

  test("a node reached after the player left is let go", async () => {
    const next = new FakeSocket();
    const { player, first } = relay(next);
    first.drop(1006);
    player.drop(1001);
    await settled();
    assert.equal(next.closed ?? 1000, 1000);
    assert.deepEqual(next.sent, []);
  });
});
