import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingError } from "../flow/errors.ts";
import { isLinkTokenValid, signLinkToken } from "./link-token.ts";
import { OvtOriginDialogue } from "./origin-dialogue.ts";
import { OvtReader } from "./ovt-reader.ts";
import { PeerGuard } from "./peer-guard.ts";
import type { EncodedSample } from "./sample-encoder.ts";
import { SendQueue } from "./send-queue.ts";
import type { SampleBatch } from "./stream-outlet.ts";
import { decodeTrace } from "../../test/support/ovt-fixtures.ts";
import { requestBytes } from "../../test/support/scripted-edge.ts";

function packet(firstByte: number, payloadType: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(18);
  header[0] = firstByte;
  header[1] = payloadType;
  header.writeUInt16BE(payload.length, 16);
  return Buffer.concat([header, payload]);
}

const edge = (): OvtReader => {
  const limits = { role: "edge", maxMessageBytes: 1 << 20, maxMediaBytes: 1 << 24 } as const;
  return new OvtReader(limits, { onMessage() {}, onMedia() {} });
};

/** Pushes until the reader has had enough; returns how many packets that took. */
function pushUntilThrown(reader: OvtReader, bytes: Uint8Array, code: string): number {
  for (let count = 1; ; count++) {
    assert.ok(count < 200_000, "the reader takes everything");
    try {
      reader.push(bytes);
    } catch (thrown) {
      assert.equal(Reflect.get(Object(thrown), "code"), code);
      return count;
    }
  }
}

test("a message may have 1 MiB, a sample 16 MiB, and neither is gathered beyond", () => {
  const piece = new Uint8Array(32_750);
  assert.equal(pushUntilThrown(edge(), packet(0x40, 20, piece), "OVT_MESSAGE_TOO_LONG"), Math.ceil(2 ** 20 / 32_750));
  assert.equal(pushUntilThrown(edge(), packet(0x40, 30, piece), "OVT_MEDIA_TOO_LONG"), Math.ceil(2 ** 24 / 32_750));
});

test("bodies in too many or empty pieces, and too many unknown packets, end the connection", () => {
  assert.equal(pushUntilThrown(edge(), packet(0x40, 30, new Uint8Array(1)), "OVT_FRAGMENTS"), 100_001);
  assert.equal(pushUntilThrown(edge(), packet(0x40, 30, new Uint8Array(0)), "OVT_FRAGMENTS"), 17);
  assert.equal(pushUntilThrown(edge(), packet(0x60, 99, new Uint8Array(9)), "OVT_UNKNOWN_PACKETS"), 65);
});

test("packets of types nobody described are skipped for as long as known ones come between them", () => {
  const messages: Uint8Array[] = [];
  const options = { role: "edge", maxMessageBytes: 100, maxMediaBytes: 100 } as const;
  const reader = new OvtReader(options, { onMessage: (body) => messages.push(body), onMedia: () => {} });
  for (let i = 0; i < 200; i++)
    reader.push(Buffer.concat([packet(0x60, 99, Buffer.of(1)), packet(0x60, 20, Buffer.of(i))]));
  assert.equal(messages.length, 200);
});

test("an edge takes no requests; an origin takes no answers and no media", () => {
  assert.throws(() => edge().push(packet(0x60, 10, Buffer.from("{}"))), { code: "OVT_PAYLOAD_TYPE" });
  for (const payloadType of [20, 30]) {
    const bytes = packet(0x60, payloadType, Buffer.from("{}"));
    assert.throws(() => new OvtOriginDialogue(0).receive(bytes, 0, 0), { code: "OVT_PAYLOAD_TYPE" });
  }
});

test("an origin takes eight requests before a session, 64 KiB each", () => {
  const request = requestBytes({ application: "describe", id: 1, target: "ovt://o:1/a/s" });
  const dialogue = new OvtOriginDialogue(0);
  for (let i = 0; i < 8; i++) dialogue.receive(request, 0, 0);
  assert.throws(() => dialogue.receive(request, 0, 0), { code: "OVT_TOO_MANY_REQUESTS" });
  const long = packet(0x40, 10, new Uint8Array(32_750));
  const other = new OvtOriginDialogue(0);
  other.receive(long, 0, 0);
  other.receive(long, 0, 0);
  assert.throws(() => other.receive(long, 0, 0), { code: "OVT_MESSAGE_TOO_LONG" });
});

test("an answer is one write, however many packets it takes", () => {
  const dialogue = new OvtOriginDialogue(0);
  dialogue.receive(requestBytes({ application: "describe", id: 1, target: "ovt://o:1/a/s" }), 0, 0);
  assert.equal(dialogue.nextRequest()?.application, "describe");
  dialogue.answer(200, "ok", { nowMs: 0, wallMs: 0 }, { filler: "x".repeat(100_000) });
  const bytes = dialogue.takeOutput()!;
  assert.equal(dialogue.takeOutput(), undefined);
  const { messages, packets, rest } = decodeTrace(bytes);
  assert.deepEqual([messages.length, packets.length, rest], [1, 4, 0]);
});

test("a token covers its stream, its app or all, until it expires, and nothing signed otherwise counts", () => {
  const wanted = { secrets: ["new", "old"], app: "app", stream: "a stream", wallMs: 1_000_000 };
  for (const [scope, isValid] of [
    ["app/a stream", true],
    ["app/*", true],
    ["*", true],
    ["app/other", false],
    ["app", false],
    ["other/*", false],
  ] as const) {
    for (const secret of ["new", "old", "else"]) {
      const token = signLinkToken(secret, { scope, expiresMs: 1_001_000 });
      assert.match(token, /^[\w.%*-]+$/, "fits into a query");
      assert.equal(isLinkTokenValid(token, wanted), isValid && secret !== "else", `${scope} by ${secret}`);
      assert.equal(isLinkTokenValid(token, { ...wanted, wallMs: 1_001_000 }), false, "expired");
    }
  }
  const token = signLinkToken("new", { scope: "*", expiresMs: 2_000_000 });
  for (let cut = 0; cut < token.length; cut++) assert.equal(isLinkTokenValid(token.slice(0, cut), wanted), false);
  assert.equal(isLinkTokenValid(token.replace("2000", "9999"), wanted), false, "a later time is not signed");
});

test("addresses and networks are trusted as written, IPv4 also in its mapped form", () => {
  const trustedPeers = ["192.0.2.7", "10.0.0.0/8", "2001:db8::/32"];
  const guard = new PeerGuard({ secrets: ["s"], trustedPeers });
  for (const address of ["192.0.2.7", "::ffff:192.0.2.7", "10.9.9.9", "2001:db8::5"])
    assert.ok(guard.isTrusted(address));
  for (const address of ["192.0.2.8", "11.0.0.1", "2001:db9::1", "", "nonsense"]) assert.ok(!guard.isTrusted(address));
  for (const entry of ["", "host", "10.0.0.0/33", "10.0.0.0/x", "10.0.0.0/", "10.0.0.0/8/9", "::/129"]) {
    assert.throws(() => new PeerGuard({ secrets: [], trustedPeers: [entry] }), SettingError, entry);
    assert.throws(() => guard.prepareTrust([entry]), SettingError, entry);
  }
});

function sample(
  trackId: number,
  isKeyframe: boolean,
  options: { isVideo?: boolean; isData?: boolean } = {},
): EncodedSample {
  const { isVideo = true, isData = false } = options;
  return {
    bytes: Uint8Array.of(trackId, isKeyframe ? 1 : 0, ...new Uint8Array(98)),
    trackId,
    isVideo,
    isKeyframe,
    isData,
    isForHearth: false,
  };
}

function batch(...samples: EncodedSample[]): SampleBatch {
  return {
    bytes: Buffer.concat(samples.map(({ bytes }) => bytes)),
    samples,
    hasData: samples.some(({ isData }) => isData),
    isForHearth: false,
  };
}

/** What is left, as `track:key` in order. */
function drain(queue: SendQueue): string[] {
  const out: string[] = [];
  for (let bytes = queue.shift(); bytes; bytes = queue.shift()) {
    assert.equal(bytes.length % 100, 0, "whole samples");
    for (let at = 0; at < bytes.length; at += 100) out.push(`${bytes[at]}:${bytes[at + 1]}`);
  }
  return out;
}

test("a queue over its limit drops whole samples and goes on with each track's next key frame", () => {
  const queue = new SendQueue({ maxBytes: 1_000, maxAgeMs: 5_000, takesData: true, isHearth: true });
  const audio = sample(9, true, { isVideo: false });
  for (let i = 0; i < 10; i++) queue.push(batch(sample(1, i === 0)), 0);
  assert.equal(queue.dropped, 0);
  queue.push(batch(sample(1, false), audio), 0);
  assert.ok(queue.bytes <= 500);
  queue.push(batch(sample(2, false), sample(1, false)), 0);
  queue.push(batch(sample(1, true), sample(1, false)), 0);
  assert.deepEqual(drain(queue), ["9:1", "2:0", "1:1", "1:0"]);
  assert.equal(queue.dropped, 12);
});

test("what waited too long is dropped, too", () => {
  const queue = new SendQueue({ maxBytes: 1e6, maxAgeMs: 5_000, takesData: true, isHearth: true });
  queue.push(batch(sample(1, true), sample(1, false)), 0);
  queue.push(batch(sample(1, false)), 4_000);
  queue.push(batch(sample(1, true)), 4_500);
  queue.push(batch(sample(1, false)), 5_001);
  assert.deepEqual(drain(queue), ["1:1", "1:0"]);
  assert.equal(queue.dropped, 3);
});

test("data is left out for peers that do not expect it", () => {
  const queue = new SendQueue({ maxBytes: 1e6, maxAgeMs: 5_000, takesData: false, isHearth: false });
  queue.push(batch(sample(1, true), sample(5, true, { isVideo: false, isData: true }), sample(1, false)), 0);
  assert.deepEqual(drain(queue), ["1:1", "1:0"]);
  assert.equal(queue.dropped, 0);
});
