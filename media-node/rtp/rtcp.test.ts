import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import { parseRtcp, serializeRtcp, type ReportBlock, type RtcpPacket } from "./rtcp.ts";

const report: ReportBlock = {
  ssrc: 0xdeadbeef,
  fractionLost: 12,
  cumulativeLost: -3,
  highestSequence: 70_000,
  jitter: 9,
  lastSenderReport: 0x12345678,
  delaySinceLastSenderReport: 65_536,
};

const rows: [string, RtcpPacket, string][] = [
  [
    "sender report",
    {
      type: "sender-report",
      ssrc: 1,
      ntpSeconds: 0xe0000000,
      ntpFraction: 0x80000000,
      rtpTimestamp: 90_000,
      packetCount: 7,
      octetCount: 700,
      reports: [],
    },
    "80c8000600000001e00000008000000000015f90000000070000 02bc".replace(" ", ""),
  ],
  [
    "receiver report",
    { type: "receiver-report", ssrc: 1, reports: [report] },
    "81c9000700000001deadbeef0cfffffd00011170000000091234567800010000",
  ],
  [
    "source description",
    { type: "source-description", chunks: [{ ssrc: 5, cname: "ab" }] },
    "81ca0003000000050102616200000000",
  ],
  ["goodbye", { type: "bye", ssrcs: [1, 2] }, "82cb00020000000100000002"],
  [
    "generic NACK",
    { type: "nack", senderSsrc: 1, mediaSsrc: 2, sequences: [65_535, 0, 15, 300] },
    "81cd00040000000100000002ffff8001012c0000",
  ],
  ["picture loss", { type: "pli", senderSsrc: 1, mediaSsrc: 2 }, "81ce00020000000100000002"],
  [
    "full intra request",
    { type: "fir", senderSsrc: 1, entries: [{ ssrc: 2, sequence: 9 }] },
    "84ce000400000001000000000000000209000000",
  ],
  [
    "receiver's bandwidth estimate",
    { type: "remb", senderSsrc: 1, bitrate: 1_000_000, ssrcs: [2] },
    "8fce0005000000010000000052454d42010bd09000000002",
  ],
  [
    "anything else",
    { type: "unknown", packetType: 207, format: 0, body: Uint8Array.of(0, 0, 0, 1) },
    "80cf000100000001",
  ],
];

for (const [name, packet, hex] of rows) {
  test(`RTCP ${name}: text and bytes are twins`, () => {
    assert.equal(Buffer.from(serializeRtcp([packet])).toString("hex"), hex);
    assert.deepEqual(parseRtcp(Buffer.from(hex, "hex")).map(plain), [plain(packet)]);
  });

  test(`RTCP ${name}: every prefix is refused`, () => {
    const bytes = Buffer.from(hex, "hex");
    for (let end = 0; end < bytes.length; end++) {
      assert.throws(() => parseRtcp(bytes.subarray(0, end)), ProtocolError, `prefix of ${end} bytes`);
    }
  });
}

function plain(packet: RtcpPacket): unknown {
  return packet.type === "unknown" ? { ...packet, body: [...packet.body] } : packet;
}

test("a compound packet holds its parts in order", () => {
  const all = rows.map(([, packet]) => packet);
  assert.deepEqual(parseRtcp(serializeRtcp(all)).map(plain), all.map(plain));
});

test("padding is left out, impossible padding refused", () => {
  const padded = Buffer.from("a1ce0003000000010000000200000004", "hex");
  assert.deepEqual(parseRtcp(padded), [{ type: "pli", senderSsrc: 1, mediaSsrc: 2 }]);
  padded[15] = 13;
  assert.throws(() => parseRtcp(padded), ProtocolError);
});
