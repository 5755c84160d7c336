// Every vector of test/fixtures/ovt/vectors.json, in both directions and however the network cuts it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { OvtOriginDialogue } from "../../media-node/ovt/origin-dialogue.ts";
import { parseOvtDescription, serializeOvtDescription } from "../../media-node/ovt/ovt-description.ts";
import {
  parseOvtRequest,
  parseOvtResponse,
  serializeOvtRequest,
  serializeOvtResponse,
} from "../../media-node/ovt/ovt-message.ts";
import { parseOvtMedia, serializeOvtMediaHeader } from "../../media-node/ovt/ovt-media.ts";
import { parseOvtHeader, serializeOvtPackets } from "../../media-node/ovt/ovt-packet.ts";
import { OvtReader } from "../../media-node/ovt/ovt-reader.ts";
import { Collector, fromHex, ovtVectors, type MediaVector, type MessageVector } from "../support/ovt-fixtures.ts";
import { seededRandom } from "../support/seeded-random.ts";

const generous = { maxMessageBytes: 1 << 20, maxMediaBytes: 1 << 24 };
const entries = Object.entries(ovtVectors.vectors);
const isMessage = (entry: [string, { kind: string }]): entry is [string, MessageVector] =>
  entry[1].kind.startsWith("msg");
const isMedia = (entry: [string, { kind: string }]): entry is [string, MediaVector] => entry[1].kind === "media";
const messages = entries.filter(isMessage);
const media = entries.filter(isMedia);

function collect(role: "origin" | "edge", chunks: readonly Uint8Array[]): string[] {
  const collector = new Collector();
  const reader = new OvtReader({ role, ...generous }, collector);
  for (const chunk of chunks) reader.push(chunk);
  return collector.found;
}

/** The bytes of a vector on the wire, and who receives them. */
function wire([, vector]: (typeof entries)[number]): { role: "origin" | "edge"; bytes: Buffer } {
  const hex = vector.kind === "stream" ? vector.chunks : vector.packets;
  const role = "json" in vector && vector.pt === 10 ? "origin" : "edge";
  return { role, bytes: Buffer.concat(hex.map(fromHex)) };
}

function chunksOf(name: string): Buffer[] {
  const vector = ovtVectors.vectors[name];
  assert.ok(vector?.kind === "stream");
  return vector.chunks.map(fromHex);
}

test("the vectors are all there", () => {
  assert.deepEqual([messages.length, media.length, Object.keys(ovtVectors.negative).length], [10, 11, 14]);
});

for (const [name, vector] of messages) {
  test(`${name}: reads as its JSON and writes the same bytes`, () => {
    const bytes = Buffer.concat(vector.packets.map(fromHex));
    const role = vector.pt === 10 ? "origin" : "edge";
    assert.deepEqual(collect(role, [bytes]), [`message ${vector.json}`]);
    const body = Buffer.from(vector.json);
    if (vector.kind === "msgfrag") {
      const label = { payloadType: vector.pt, sequence: 0, timestamp: vector.ts, sessionId: 0 };
      assert.deepEqual(Buffer.from(serializeOvtPackets([body], label, 20)), bytes);
    } else if (vector.pt === 10) {
      assert.deepEqual(Buffer.from(serializeOvtRequest(parseOvtRequest(body), vector.ts)), bytes);
    } else {
      const response = parseOvtResponse(body);
      const contents = response.contents && serializeOvtDescription(parseOvtDescription(response.contents));
      const again = serializeOvtResponse({ ...response, ...(contents && { contents }) }, vector.ts);
      assert.deepEqual(Buffer.from(again), bytes);
    }
  });
}

for (const [name, vector] of media) {
  test(`${name}: reads as its fields and writes the same bytes`, () => {
    const bytes = Buffer.concat(vector.packets.map(fromHex));
    const [found] = collect("edge", [bytes]);
    const parsed = parseOvtMedia(fromHex(found!.slice("media ".length)));
    const data = fromHex(vector.data);
    const fields = {
      trackId: vector.track,
      pts: vector.pts,
      dts: vector.dts,
      duration: vector.dur,
      mediaType: vector.mt,
      flag: vector.flag,
      bitstreamFormat: vector.bf,
      packetType: vector.pk,
    };
    assert.deepEqual({ ...parsed, data: Buffer.from(parsed.data) }, { ...fields, data });
    const label = { payloadType: 30, sequence: vector.seq, timestamp: vector.pts, sessionId: vector.sid };
    const again = serializeOvtPackets([serializeOvtMediaHeader(fields, data.length), data], label);
    assert.deepEqual(Buffer.from(again), bytes);
    let sequence = vector.seq;
    for (const packet of vector.packets.map(fromHex)) {
      const header = parseOvtHeader(packet);
      assert.equal(header.sequence, sequence++ & 0xffff);
      assert.equal(header.timestamp, vector.pts);
      assert.equal(header.sessionId, vector.sid);
    }
  });
}

test("T22: a response and two samples however the reads fall", () => {
  const found = collect("edge", chunksOf("T22-coalesced-and-split"));
  assert.deepEqual(
    found.map((item) => item.split(" ")[0]),
    ["message", "media", "media"],
  );
});

test("T23: an answer between the pieces of a sample leaves the sample whole", () => {
  const [message, sample] = collect("edge", chunksOf("T23-message-between-media-fragments"));
  assert.match(message!, /"application":"stop"/);
  const parsed = parseOvtMedia(fromHex(sample!.slice("media ".length)));
  assert.equal(Buffer.from(parsed.data).toString(), "abcdefgh");
  assert.deepEqual([parsed.trackId, parsed.pts, parsed.dts, parsed.duration], [0, 1, 1, 1]);
});

/** The bodies in order, as they are: compared without turning megabytes into text for every cut. */
function bodies(role: "origin" | "edge", chunks: readonly Uint8Array[]): Uint8Array[] {
  const found: Uint8Array[] = [];
  const add = (body: Uint8Array): void => void found.push(body);
  const reader = new OvtReader({ role, ...generous }, { onMessage: add, onMedia: add });
  for (const chunk of chunks) reader.push(chunk);
  return found;
}

function assertSame(found: readonly Uint8Array[], whole: readonly Uint8Array[], what: string): void {
  assert.equal(found.length, whole.length, what);
  for (const [index, body] of found.entries())
    assert.ok(Buffer.from(body.buffer, body.byteOffset, body.length).equals(whole[index]!), what);
}

test("every vector parses the same when cut at every byte", () => {
  for (const entry of entries) {
    const { role, bytes } = wire(entry);
    const whole = bodies(role, [bytes]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      assertSame(bodies(role, [bytes.subarray(0, cut), bytes.subarray(cut)]), whole, `${entry[0]} at ${cut}`);
    }
    assertSame(
      bodies(
        role,
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
      ),
      whole,
      `${entry[0]} byte by byte`,
    );
  }
});

test("10,000 random cuts parse the same", () => {
  const random = seededRandom(20_260_101);
  const all = Buffer.concat(entries.map(wire).flatMap(({ role, bytes }) => (role === "edge" ? [bytes] : [])));
  const whole = bodies("edge", [all]);
  for (let cuts = 0; cuts < 10_000;) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < all.length; cuts++) {
      const next = at + 1 + Math.floor(random() * (random() < 0.5 ? 40 : 4_000));
      chunks.push(all.subarray(at, next));
      at = next;
    }
    assertSame(bodies("edge", chunks), whole, `after ${cuts} cuts`);
  }
});

/** What a peer gets for each negative vector, by the side that receives it. */
const reactions: Readonly<
  Record<string, { code?: string; answer?: { code: number; message: RegExp; ends: boolean } }>
> = {
  "N01-version-0": { code: "OVT_BAD_VERSION" },
  "N02-version-2": { code: "OVT_BAD_VERSION" },
  "N03-payload-length-32751": { code: "OVT_PAYLOAD_LENGTH" },
  "N04-payload-length-65535": { code: "OVT_PAYLOAD_LENGTH" },
  "N05-media-35-bytes": { code: "OVT_MEDIA_TRUNCATED" },
  "N06-media-size-too-small": { code: "OVT_MEDIA_SIZE" },
  "N07-media-size-4GiB": { code: "OVT_MEDIA_SIZE" },
  "N08-empty-message": { code: "OVT_EMPTY_MESSAGE" },
  "N09-unknown-payload-type-99": {},
  "N10-json-root-array": { answer: { code: 404, message: /Json format/, ends: true } },
  "N11-json-truncated": { answer: { code: 404, message: /Json format/, ends: true } },
  "N12-id-is-string": { answer: { code: 404, message: /id or target/, ends: false } },
  "N13-reserved-bits-set": {},
  "N14-payload-type-0": {},
};

for (const [name, hex] of Object.entries(ovtVectors.negative)) {
  test(`${name}: gets the reaction it deserves`, () => {
    const { code, answer } = reactions[name]!;
    if (answer) {
      const dialogue = new OvtOriginDialogue(0);
      dialogue.receive(fromHex(hex), 0, 0);
      assert.equal(dialogue.nextRequest(), undefined);
      const found = collect("edge", [dialogue.takeOutput()!]);
      const response = parseOvtResponse(Buffer.from(found[0]!.slice("message ".length)));
      assert.equal(response.code, answer.code);
      assert.match(response.message, answer.message);
      assert.equal(dialogue.mustEnd, answer.ends);
      return;
    }
    const push = (): void => {
      const handler = { onMessage() {}, onMedia: (body: Uint8Array) => void parseOvtMedia(body) };
      new OvtReader({ role: "edge", ...generous }, handler).push(fromHex(hex));
    };
    if (code === undefined) assert.doesNotThrow(push);
    else assert.throws(push, (thrown) => thrown instanceof ProtocolError && thrown.code === code);
  });
}
