import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SignallingDialogue } from "./signalling-dialogue.ts";

/** Feeds what a recorded player sent; the recorded server's ids are made known as they went out. */
function replay(name: string): { kinds: string[]; errors: string[] } {
  const url = new URL(`../../test/fixtures/ome-signalling/${name}.jsonl`, import.meta.url);
  const dialogue = new SignallingDialogue();
  const kinds: string[] = [];
  const errors: string[] = [];
  for (const line of readFileSync(url, "utf8").split("\n").filter(Boolean)) {
    const { dir, data }: { dir?: string; data?: string } = JSON.parse(line);
    if (dir === "s2c") {
      const message: { command?: string; id?: number } = JSON.parse(data!);
      if (message.command === "offer") dialogue.offered(message.id!);
    } else if (dir === "c2s") {
      const event = dialogue.receive(data!);
      kinds.push(event.kind);
      if (event.kind === "failed") errors.push(`${event.code} ${event.error}`);
    }
  }
  return { kinds, errors };
}

test("a whole recorded session is understood", () => {
  const { kinds, errors } = replay("full-play");
  assert.deepEqual(errors, []);
  assert.deepEqual(kinds.slice(0, 2), ["offer-requested", "answered"]);
  assert.equal(kinds.at(-1), "stopped");
  assert.ok(kinds.slice(2, -1).every((kind) => kind === "none"));
});

for (const name of ["unknown-command", "answer-without-offer"]) {
  test(`refuses ${name} as recorded`, () => assert.deepEqual(replay(name).errors, ["400 Invalid ID"]));
}

/** Commands in the order sent, after an offer with id 7, and what the last one gives. */
const rows: [string, unknown[], object][] = [
  ["a wrong id", [{ command: "stop", id: 8 }], { kind: "failed", code: 400, error: "Invalid ID" }],
  ["no SDP", [{ command: "answer", id: 7 }], { kind: "failed", code: 400, error: "There is no SDP" }],
  [
    "an SDP of another type",
    [{ command: "answer", id: 7, sdp: { type: "offer", sdp: "" } }],
    { kind: "failed", code: 400, error: "Invalid SDP type" },
  ],
  [
    "an SDP that is no text",
    [{ command: "answer", id: 7, sdp: { type: "answer", sdp: 1 } }],
    { kind: "failed", code: 400, error: "SDP must be a string" },
  ],
  ["an unknown command", [{ command: "x", id: 7 }], { kind: "failed", code: 400, error: "Unknown command: x" }],
  [
    "no candidates",
    [{ command: "candidate", id: 7 }],
    { kind: "failed", code: 400, error: "There is no candidate list" },
  ],
  [
    "candidates that are no list",
    [{ command: "candidate", id: 7, candidates: {} }],
    { kind: "failed", code: 400, error: "Candidates must be array" },
  ],
  ["peer to peer", [{ command: "offer_p2p", id: 7 }], { kind: "failed", code: 400, error: "Could not find peer id" }],
  ["a change before the answer", [{ command: "change_rendition", id: 7, auto: true }], { kind: "none" }],
  [
    "a change after it",
    [
      { command: "answer", id: 7, sdp: { type: "answer", sdp: "v=0" } },
      { command: "change_rendition", id: 7, rendition_name: "low" },
    ],
    { kind: "rendition-wanted", name: "low", isAuto: undefined },
  ],
  ["a pong", [{ command: "pong" }], { kind: "none" }],
  ["text that is no object", [[1]], { kind: "failed", code: 400, error: "Could not parse the message" }],
];

for (const [name, messages, expected] of rows) {
  test(`after an offer: ${name}`, () => {
    const dialogue = new SignallingDialogue();
    dialogue.receive('{"command":"request_offer"}');
    dialogue.offered(7);
    const events = messages.map((message) => dialogue.receive(JSON.stringify(message)));
    assert.deepEqual(events.at(-1), expected);
  });
}

test("asking twice while an offer is made asks once", () => {
  const dialogue = new SignallingDialogue();
  assert.equal(dialogue.receive('{"command":"request_offer"}').kind, "offer-requested");
  assert.equal(dialogue.receive('{"command":"request_offer"}').kind, "none");
});

test("what was on its way when the session ended is no mistake", () => {
  const dialogue = new SignallingDialogue();
  dialogue.receive('{"command":"request_offer"}');
  dialogue.offered(7);
  dialogue.ended();
  assert.equal(dialogue.receive('{"command":"candidate","id":7,"candidates":[]}').kind, "none");
  assert.equal(dialogue.receive('{"command":"request_offer"}').kind, "offer-requested");
});

test("every prefix of a message is refused or understood, never thrown at", () => {
  const message = JSON.stringify({ command: "answer", id: 7, peer_id: 0, sdp: { type: "answer", sdp: "v=0\r\n" } });
  for (let end = 0; end < message.length; end++) {
    const dialogue = new SignallingDialogue();
    assert.equal(dialogue.receive(message.slice(0, end)).kind, "failed");
  }
});
