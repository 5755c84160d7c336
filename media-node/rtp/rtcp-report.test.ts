import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import { ReceptionStatistics } from "./reception-statistics.ts";
import { parseSenderReports, serializeReceiverReport } from "./rtcp-report.ts";

// Recorded from GStreamer's RTSP server: a sender report of 2026-11-22 07:04 UTC, then SDES.
const recorded = Buffer.from(
  "80c80006197e3a4beead1272dc750c1ba9ed85bf000000420000434581ca000c197e3a4b0000000000000000",
  "hex",
);

test("reads a recorded sender report", () => {
  const { reports, leaving } = parseSenderReports(recorded.subarray(0, 28));
  assert.deepEqual(leaving, []);
  assert.equal(reports.length, 1);
  const { ssrc, ntpMs, ntpMiddle, rtpTimestamp } = reports[0]!;
  assert.deepEqual([ssrc, ntpMiddle, rtpTimestamp], [0x197e3a4b, 0x1272dc75, 0xa9ed85bf]);
  assert.equal(new Date(ntpMs).toISOString().slice(0, 16), "2026-11-22T07:04");
});

test("refuses a compound that announces more than it holds, and nothing else", () => {
  for (let length = 0; length < 28; length++) {
    const cut = recorded.subarray(0, length);
    if (length < 4) assert.deepEqual(parseSenderReports(cut).reports, []);
    else assert.throws(() => parseSenderReports(cut), ProtocolError);
  }
});

test("reports loss, jitter and the last sender report as RFC 3550 lays them out", () => {
  const statistics = new ReceptionStatistics(90_000);
  const packet = { marker: false, payloadType: 96, ssrc: 7, payload: new Uint8Array(0) };
  for (const [sequence, ms] of [
    [65_534, 0],
    [65_535, 40],
    [1, 130],
  ] as const) {
    statistics.onPacket({ ...packet, sequence, timestamp: ms * 90 }, 1_000 + ms);
  }
  statistics.onSenderReport({ ssrc: 7, ntpMs: 1, ntpMiddle: 0xabcd1234, rtpTimestamp: 0 }, 1_000);
  const report = statistics.takeReport(1_500)!;
  assert.deepEqual(report, {
    ssrc: 7,
    fractionLost: 64,
    cumulativeLost: 1,
    highestSequence: 0x10001,
    jitter: 0,
    lastSenderReport: 0xabcd1234,
    delaySinceLastSenderReport: 32_768,
  });
  const bytes = Buffer.from(serializeReceiverReport(9, report, "hearth"));
  assert.equal(
    bytes.toString("hex"),
    "81c90007" +
      "00000009" +
      "00000007" +
      "40000001" +
      "00010001" +
      "00000000" +
      "abcd1234" +
      "00008000" +
      "81ca0004" +
      "00000009" +
      "0106686561727468" +
      "00000000",
  );
  assert.deepEqual(parseSenderReports(bytes), { reports: [], leaving: [] });
});
