import assert from "node:assert/strict";
import { test } from "node:test";
import type { SenderReport } from "./sender-report.ts";
import { RtpTimeline } from "./rtp-timeline.ts";

const epochMs = Date.UTC(2025, 0, 1);
const startMs = Date.UTC(2026, 0, 1);

/** A sender with two streams of arbitrary RTP offsets, whose wall clock is off by `clockErrorMs`. */
function sender(clockErrorMs = 0, videoStart = 0xfffff000, audioStart = 12_345) {
  const rtp = (start: number, rate: number, ms: number): number => (start + Math.round((ms * rate) / 1000)) >>> 0;
  const report = (start: number, rate: number, ms: number): SenderReport => ({
    ssrc: 1,
    ntpMs: startMs + ms + clockErrorMs,
    ntpMiddle: 0,
    rtpTimestamp: rtp(start, rate, ms),
  });
  return {
    video: (ms: number) => rtp(videoStart, 90_000, ms),
    audio: (ms: number) => rtp(audioStart, 48_000, ms),
    videoReport: (ms: number) => report(videoStart, 90_000, ms),
    audioReport: (ms: number) => report(audioStart, 48_000, ms),
  };
}

const msOf = (ticks: number, rate: number): number => (ticks * 1000) / rate + epochMs - startMs;

test("gives two nodes that join at different times the same timestamps, by the sender's reports", () => {
  const { video, videoReport } = sender(120);
  const nodes = [0, 4_000].map((joinMs) => {
    const track = new RtpTimeline({ epochMs }).addTrack(90_000);
    track.onSenderReport({ ...videoReport(joinMs), ntpMs: videoReport(joinMs).ntpMs + joinMs / 1e6 }, startMs + joinMs);
    return track;
  });
  for (let ms = 4_000; ms < 6_000; ms += 40) {
    const [a, b] = nodes.map((track, index) => track.toTicks(video(ms), startMs + ms + 30 * index));
    assert.equal(a, b);
    assert.ok(Math.abs(msOf(a!, 90_000) - (ms + 120)) <= 2.5);
  }
});

test("aligns tracks by RTP-Info before the first report, where their arrival does not contradict it", () => {
  const { video, audio } = sender();
  const timeline = new RtpTimeline({ epochMs });
  const [pictures, sound] = [timeline.addTrack(90_000), timeline.addTrack(48_000)];
  pictures.setInfo(video(0));
  sound.setInfo(audio(0));
  const first = msOf(pictures.toTicks(video(0), startMs + 200), 90_000);
  const second = msOf(sound.toTicks(audio(100), startMs + 500), 48_000);
  assert.ok(Math.abs(second - first - 100) <= 5, `${second - first}`);
});

test("aligns tracks by arrival where RTP-Info is nonsense", () => {
  const { video, audio } = sender(0, 3_000_000_000, 1_000_000_000);
  const timeline = new RtpTimeline({ epochMs });
  const [pictures, sound] = [timeline.addTrack(90_000), timeline.addTrack(48_000)];
  pictures.setInfo(0);
  sound.setInfo(0);
  const first = msOf(pictures.toTicks(video(0), startMs + 200), 90_000);
  const second = msOf(sound.toTicks(audio(0), startMs + 210), 48_000);
  assert.ok(Math.abs(second - first) <= 15, `${second - first}`);
});

test("moves to the sender's clock without a jump, all tracks together, and ends within 10 ms of lip sync", () => {
  const { video, audio, videoReport, audioReport } = sender();
  const timeline = new RtpTimeline({ epochMs });
  const [pictures, sound] = [timeline.addTrack(90_000), timeline.addTrack(48_000)];
  let last = { video: Number.NEGATIVE_INFINITY, audio: Number.NEGATIVE_INFINITY };
  let apart = 0;
  for (let ms = 0; ms < 20_000; ms += 20) {
    if (ms === 2_000) pictures.onSenderReport(videoReport(ms), startMs + ms);
    if (ms === 5_000) sound.onSenderReport(audioReport(ms), startMs + ms);
    // Media arrives 150 ms late, which is all that arrival can know.
    const now = {
      video: pictures.toTicks(video(ms), startMs + ms + 150),
      audio: sound.toTicks(audio(ms), startMs + ms + 150),
    };
    assert.ok(now.video > last.video && now.audio > last.audio, `at ${ms}`);
    if (ms > 0) assert.ok(Math.abs(now.video - last.video - 1_800) <= 36, `step at ${ms}`);
    last = now;
    apart = Math.max(apart, Math.abs(msOf(now.video, 90_000) - msOf(now.audio, 48_000)));
  }
  assert.ok(apart <= 10, `${apart} ms apart`);
  assert.ok(Math.abs(msOf(last.video, 90_000) - 19_980) <= 5);
  assert.equal(timeline.isSenderClock, true);
});

test("ties tracks together by a clock that is years off, on our own time", () => {
  const { video, audio, videoReport, audioReport } = sender(-startMs + 5_000);
  const timeline = new RtpTimeline({ epochMs });
  const [pictures, sound] = [timeline.addTrack(90_000), timeline.addTrack(48_000)];
  pictures.onSenderReport(videoReport(0), startMs);
  sound.onSenderReport(audioReport(10), startMs + 60);
  const first = msOf(pictures.toTicks(video(40), startMs + 40), 90_000);
  const second = msOf(sound.toTicks(audio(40), startMs + 900), 48_000);
  assert.ok(Math.abs(first - 40) <= 5 && Math.abs(first - second) <= 5, `${first} ${second}`);
  assert.equal(timeline.isSenderClock, false);
});

test("absorbs a sender's wall clock being set", () => {
  const { video, videoReport } = sender();
  const track = new RtpTimeline({ epochMs }).addTrack(90_000);
  track.onSenderReport(videoReport(0), startMs);
  const before = track.toTicks(video(0), startMs);
  track.onSenderReport({ ...videoReport(5_000), ntpMs: startMs + 3_600_000 }, startMs + 5_000);
  assert.equal(track.toTicks(video(6_000), startMs + 6_000) - before, 540_000);
});

test("goes on by arrival when the RTP clock begins anew, and across its wrap", () => {
  const { video } = sender(0, 0xffffffff - 90_000);
  const track = new RtpTimeline({ epochMs }).addTrack(90_000);
  const first = track.toTicks(video(0), startMs);
  assert.equal(track.toTicks(video(2_000), startMs + 2_000) - first, 180_000);
  const restarted = track.toTicks(5_000_000, startMs + 2_040);
  assert.equal(restarted - first, 183_600);
  assert.equal(track.toTicks(5_003_600, startMs + 2_080) - restarted, 3_600);
});

test("does not take a frozen network for a new RTP clock", () => {
  const { video } = sender();
  const track = new RtpTimeline({ epochMs }).addTrack(90_000);
  const first = track.toTicks(video(0), startMs);
  assert.equal(track.toTicks(video(40), startMs + 9_000) - first, 3_600);
  assert.equal(track.toTicks(video(9_000), startMs + 9_010) - first, 810_000);
});

test("leaves reports aside where the rule says so", () => {
  const { video, videoReport } = sender(300);
  const track = new RtpTimeline({ epochMs, ignoresSenderReports: true }).addTrack(90_000);
  track.onSenderReport(videoReport(0), startMs);
  assert.ok(Math.abs(msOf(track.toTicks(video(0), startMs), 90_000)) <= 2.5);
});
