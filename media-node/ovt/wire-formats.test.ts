import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import { fromHex, ovtVectors } from "../../test/support/ovt-fixtures.ts";
import { parseOvtDescription } from "./ovt-description.ts";
import { parseOvtRequest, parseOvtResponse } from "./ovt-message.ts";
import { parseOvtMedia } from "./ovt-media.ts";
import { parseOvtHeader, serializeOvtPackets, writeOvtHeader } from "./ovt-packet.ts";
import { firstQueryValue, parseOvtUrl, withoutQueryKey } from "./ovt-url.ts";
import { parseWireJson, WireDouble, writeWireJson } from "./wire-json.ts";

const isProtocolError = (thrown: unknown): boolean => thrown instanceof ProtocolError;

test("every shorter header, media packet and message is refused", () => {
  for (const vector of Object.values(ovtVectors.vectors)) {
    if (vector.kind === "stream") continue;
    const packet = fromHex(vector.packets[0]!).subarray(0, 400);
    for (let length = 0; length < 18; length++) {
      assert.throws(() => parseOvtHeader(packet.subarray(0, length)), isProtocolError);
    }
    if (vector.kind === "media") {
      const body = Buffer.concat(vector.packets.map((hex) => fromHex(hex).subarray(18)));
      for (let length = 0; length < Math.min(body.length, 200); length++) {
        assert.throws(() => parseOvtMedia(body.subarray(0, length)), isProtocolError);
      }
    } else if (vector.kind === "msg") {
      const body = Buffer.from(vector.json);
      const parse = vector.pt === 10 ? parseOvtRequest : parseOvtResponse;
      for (let length = 0; length < body.length; length++) {
        assert.throws(() => parse(body.subarray(0, length)), isProtocolError);
      }
    }
  }
});

test("timestamps pass exactly from −(2⁵³−1) to 2⁵³−1 and are refused beyond", () => {
  const view = new DataView(new ArrayBuffer(18));
  for (const timestamp of [
    0,
    1,
    -1,
    2 ** 32,
    -(2 ** 32),
    2 ** 32 - 1,
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ]) {
    const header = { isLast: true, payloadType: 30, sequence: 1, timestamp, sessionId: 2, payloadLength: 3 };
    writeOvtHeader(view, 0, header);
    assert.equal(view.getBigInt64(4), BigInt(timestamp));
    assert.deepEqual(parseOvtHeader(new Uint8Array(view.buffer)), header);
  }
  for (const beyond of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 1n, -(2n ** 63n)]) {
    view.setBigInt64(4, beyond);
    assert.throws(() => parseOvtHeader(new Uint8Array(view.buffer)), { code: "OVT_TIMESTAMP" });
  }
});

test("a body is cut into packets of 32,750 bytes, the last one marked", () => {
  const label = { payloadType: 30, sequence: 65_535, timestamp: 7, sessionId: 1 };
  for (const [length, payloads] of [
    [1, [1]],
    [32_750, [32_750]],
    [32_751, [32_750, 1]],
    [65_500, [32_750, 32_750]],
  ] as const) {
    const halves = [new Uint8Array(Math.floor(length / 2)), new Uint8Array(Math.ceil(length / 2))];
    const bytes = serializeOvtPackets(halves, label);
    const found: number[] = [];
    for (let at = 0; at < bytes.length; at += 18 + found.at(-1)!) {
      const { payloadLength, isLast, sequence } = parseOvtHeader(bytes.subarray(at));
      assert.equal(sequence, (65_535 + found.length) & 0xffff);
      found.push(payloadLength);
      assert.equal(isLast, found.length === payloads.length);
    }
    assert.deepEqual(found, payloads);
  }
});

const urls: readonly [string, string][] = [
  ["ovt://o:9000/app/s", "ovt|o|9000|app|s|"],
  ["OVT://O:9000/app/s", "ovt|O|9000|app|s|"],
  ["ovt://o:9000/app/s/more?x=1", "ovt|o|9000|app|s|x=1"],
  ["ovt://o:9000/app/s?u=b@evil:1/x/y", "ovt|o|9000|app|s|u=b@evil:1/x/y"],
  ["ovt://id:pw@o:9000/app/s%20b", "ovt|o|9000|app|s%20b|"],
  ["ovt://[2001:db8::1]:9000/app/s", "ovt|2001:db8::1|9000|app|s|"],
  ["ovts://o/app/s", "ovts|o|0|app|s|"],
];

for (const [url, parts] of urls) {
  test(`reads ${url}`, () => {
    const { scheme, host, port, app, stream, query } = parseOvtUrl(url)!;
    assert.equal([scheme, host, port, app, stream, query].join("|"), parts);
  });
}

test("a URL without app, stream or sense is none", () => {
  for (const url of [
    "",
    "ovt:",
    "o:9000/app/s",
    "ovt://o:9000",
    "ovt://o:9000/app",
    "ovt://o:9000//s",
    "ovt://o:9000/app/",
    "ovt://o:99999/a/s",
  ]) {
    assert.equal(parseOvtUrl(url), undefined, url);
  }
});

test("the first value of a query key counts, and all of them are taken out", () => {
  assert.equal(firstQueryValue("a=1&key=x&key=y", "key"), "x");
  assert.equal(firstQueryValue("akey=1&key&key=y", "key"), "");
  assert.equal(firstQueryValue("a=1", "key"), undefined);
  assert.equal(withoutQueryKey("a=1&key=x&b=2&key", "key"), "a=1&b=2");
});

test("JSON is written as OvenMediaEngine writes it", () => {
  const value = {
    z: 1,
    a: [null, true, "ü/\u{1f525}\n"],
    d: new WireDouble(30),
    f: new WireDouble(29.97),
    u: undefined,
  };
  assert.equal(
    writeWireJson(value),
    String.raw`{"a":[null,true,"\u00fc/\ud83d\udd25\n"],"d":30.0,"f":29.969999999999999,"z":1}`,
  );
  assert.equal(writeWireJson(new WireDouble(0)), "0.0");
  assert.equal(writeWireJson(new WireDouble(1e21)), "1e+21");
});

test("JSON is read with NULs behind it, and refused when nested too deep", () => {
  assert.deepEqual(parseWireJson(Buffer.from('{"a":1}\0\n\0')), { a: 1 });
  assert.throws(() => parseWireJson(Buffer.from("[".repeat(33) + "]".repeat(33))), { code: "OVT_JSON" });
  assert.deepEqual(parseWireJson(Buffer.from('"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["')), "[".repeat(38));
});

const track = {
  id: 0,
  name: "v",
  codecId: 1,
  mediaType: 0,
  timebaseNum: 1,
  timebaseDen: 1000,
  bitrate: 0,
  videoTrack: {},
  audioTrack: {},
};
const contents = (change: object): object => ({ version: 18, stream: { tracks: [{ ...track, ...change }] } });

test("a description that an edge could not use is refused", () => {
  const bad: readonly object[] = [
    { id: -1 },
    { id: 2 ** 31 },
    { id: "0" },
    { mediaType: -1 },
    { timebaseDen: 0 },
    { codecId: 1.5 },
  ];
  const parse = (value: object): unknown => parseOvtDescription(JSON.parse(JSON.stringify(value)));
  for (const change of bad)
    assert.throws(() => parse(contents(change)), { code: "OVT_DESCRIPTION" }, JSON.stringify(change));
  const tracks = (count: number): object => ({
    version: 18,
    stream: { tracks: Array.from({ length: count }, (_, id) => ({ ...track, id })) },
  });
  assert.doesNotThrow(() => parse(tracks(256)));
  assert.throws(() => parse(tracks(257)), { code: "OVT_DESCRIPTION" });
  assert.throws(() => parse({ version: 18, stream: { tracks: [track, track] } }), { code: "OVT_DESCRIPTION" });
  for (const decoderConfig of ["!!!", "AAA", 7, "A".repeat(100_000)]) {
    const parsed = parseOvtDescription(JSON.parse(JSON.stringify(contents({ decoderConfig }))));
    assert.equal(parsed.tracks[0]!.decoderConfig, undefined);
  }
});

test("what an edge cannot use of a description does not keep the rest from playing", () => {
  const unusable: readonly unknown[] = [
    null,
    7,
    { ...track, id: "1" },
    { ...track, id: 1, mediaType: -1 },
    { ...track, id: 1, codecId: -1 },
    { ...track, id: 1, timebaseNum: 0, timebaseDen: 0 },
  ];
  const playlist = { name: "a", fileName: "b", options: {}, renditions: [] };
  const bad: readonly unknown[] = [null, { ...playlist, fileName: null }, { ...playlist, renditions: [{ name: "r" }] }];
  const parse = (stream: object) => parseOvtDescription(JSON.parse(JSON.stringify({ version: 18, stream })));
  for (const other of unusable) {
    const { tracks } = parse({ tracks: [other, track] });
    assert.deepEqual(
      tracks.map(({ id }) => id),
      [track.id],
      JSON.stringify(other),
    );
  }
  for (const other of bad) {
    assert.deepEqual(
      parse({ tracks: [track], playlists: [other, playlist] }).playlists.map(({ fileName }) => fileName),
      ["b"],
    );
    assert.deepEqual(parse({ tracks: [track], playlists: [other] }).playlists, []);
  }
  assert.deepEqual(parse({ tracks: [track], playlists: {} }).playlists, []);
  for (const [bitrate, read] of [
    [-1, 0],
    [undefined, 0],
    ["1", 0],
    [1000.6, 1001],
  ] as const) {
    assert.equal(parse({ tracks: [{ ...track, bitrate }] }).tracks[0]!.bitrate, read);
  }
  const { tracks, appName } = parse({ tracks: [{ ...track, name: undefined }], appName: 3 });
  assert.deepEqual([tracks[0]!.name, appName], ["", ""]);
});

test("a duration that no number holds is left out, since it is a hint", () => {
  const body = Buffer.alloc(36);
  for (const [duration, read] of [
    [-(2n ** 63n), 0],
    [2n ** 53n, 0],
    [-1n, -1],
    [3000n, 3000],
  ] as const) {
    body.writeBigInt64BE(duration, 20);
    assert.equal(parseOvtMedia(body).duration, read);
  }
});
