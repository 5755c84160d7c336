import assert from "node:assert/strict";
import { test } from "node:test";
import { ReceptionStatistics } from "./reception-statistics.ts";
import { parseRtcp } from "./rtcp.ts";
import { senderReportOf } from "./sender-report.ts";

test("reads the time of a recorded sender report", () => {
  // Recorded from GStreamer's RTSP server.
  const recorded = Buffer.from("80c80006197e3a4beead1272dc750c1ba9ed85bf0000004200004345", "hex");
  const [packet] = parseRtcp(recorded);
  assert.ok(packet?.type === "sender-report");
  const { ssrc, ntpMs, ntpMiddle, rtpTimestamp } = senderReportOf(packet);
  assert.deepEqual([ssrc, ntpMiddle, rtpTimestamp], [0x197e3a4b, 0x1272dc75, 0xa9ed85bf]);
  assert.equal(new Date(ntpMs).toISOString().slice(0, 16), "2026-11-22T07:04");
});

test("knows senders without a clock, and the era after 2036", () => {
  const report = {
    type: "sender-report",
    ssrc: 1,
    rtpTimestamp: 0,
    packetCount: 0,
    octetCount: 0,
    reports: [],
  } as const;
  assert.equal(senderReportOf({ ...report, ntpSeconds: 0, ntpFraction: 0 }).ntpMs, 0);
  assert.equal(new Date(senderReportOf({ ...report, ntpSeconds: 60, ntpFraction: 0 }).ntpMs).getUTCFullYear(), 2036);
});

test("counts loss, jitter and the last sender report as RFC 3550 lays them out", () => {
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
  assert.deepEqual(statistics.takeReport(1_500), {
    ssrc: 7,
    fractionLost: 64,
    cumulativeLost: 1,
    highestSequence: 0x10001,
    jitter: 0,
    lastSenderReport: 0xabcd1234,
    delaySinceLastSenderReport: 32_768,
  });
  assert.equal(statistics.takeReport(1_600)?.fractionLost, 0);
});
