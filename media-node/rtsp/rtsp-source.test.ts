import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ScriptedCamera, videoSdp } from "../../test/support/scripted-camera.ts";
import type { Sample } from "../core/sample.ts";
import { silentLogger } from "../flow/logger.ts";
import { parseRtcp, serializeRtcp } from "../rtp/rtcp.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { serializeInterleavedFrame } from "./interleaved-frame.ts";
import { headerOf } from "./rtsp-message.ts";
import { RtspSession } from "./rtsp-session.ts";
import { openRtspSource, type RtspSourceOptions } from "./rtsp-source.ts";

function opener(over: Partial<RtspSourceOptions> = {}) {
  const clock = new ManualClock();
  const dial = () => Promise.reject(new Error("nobody dials here"));
  const open = openRtspSource({ dial, clock, logger: silentLogger, ...over });
  return { clock, open: (url: string, signal = new AbortController().signal) => open(url, { signal }) };
}

test("says in a sentence why there is no connection", async () => {
  const rows: [code: string, message: RegExp][] = [
    ["ECONNREFUSED", /^nothing listens at cam:8554/],
    ["ENOTFOUND", /^the name cam does not resolve$/],
    ["ETIMEDOUT", /^cam:8554 does not answer/],
    ["EHOSTUNREACH", /^there is no way to cam:8554/],
  ];
  for (const [code, message] of rows) {
    const { open } = opener({ dial: () => Promise.reject(Object.assign(new Error(code), { code })) });
    await assert.rejects(open("rtsp://u:secret@cam:8554/x"), { name: "TransportError", code: `RTSP_${code}`, message });
  }
});

test("refuses rtsps:// where no TLS is at hand, and dials it where there is", async () => {
  await assert.rejects(opener().open("rtsps://cam/x"), { code: "RTSP_NO_TLS" });
  const dialled: string[] = [];
  const dialTls = (host: string, port: number) => {
    dialled.push(`${host}:${port}`);
    return Promise.reject(new Error("enough"));
  };
  await assert.rejects(opener({ dialTls }).open("rtsps://cam/x"), { name: "TransportError" });
  assert.deepEqual(dialled, ["cam:322"]);
});

test("a pull whose source clock is not to be believed takes no time from sender reports", async () => {
  const errors: boolean[] = [];
  for (const ignoresSourceClock of [true, false]) {
    const camera = new ScriptedCamera();
    const open = openRtspSource({ dial: camera.dial, clock: new ManualClock(), logger: silentLogger });
    const played = camera.request("PLAY");
    const opening = open("rtsp://cam/x", { signal: new AbortController().signal, ignoresSourceClock });
    await played;
    const times = { ntpSeconds: 2_208_988_801, ntpFraction: 0, rtpTimestamp: 0, packetCount: 0, octetCount: 0 };
    const report = serializeRtcp([{ type: "sender-report", ssrc: 0x1234, ...times, reports: [] }]);
    camera.pictures(0, 0);
    camera.write(serializeInterleavedFrame({ channel: 1, payload: report }));
    camera.pictures(1, 1);
    const source = await opening;
    assert.ok(source instanceof RtspSession);
    const second = Promise.withResolvers<void>();
    const onSample = (sample: Sample): void => void (sample.isKeyframe || second.resolve());
    source.start({ onSample, onDescription() {}, onEnd() {} });
    camera.pictures(2, 3);
    await second.promise;
    errors.push(source.facts.senderClockErrorMs === undefined);
    await source.close({ code: "done" });
  }
  assert.deepEqual(errors, [true, false]);
});

test("a wish for a key frame goes to a camera that takes it, in the words it knows", async () => {
  const avpf = videoSdp().replace("RTP/AVP 96", "RTP/AVPF 96");
  for (const [sdp, wanted, profile] of [
    [videoSdp(), undefined, "RTP/AVP"],
    [videoSdp(undefined, undefined, "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 ccm fir"), "pli", "RTP/AVP"],
    [videoSdp(undefined, undefined, "a=rtcp-fb:* ccm fir"), "fir", "RTP/AVP"],
    [videoSdp(undefined, undefined, "a=rtcp-fb:97 nack pli"), undefined, "RTP/AVP"],
    [avpf, "pli", "RTP/AVPF"],
    [avpf.replace("a=control", "a=rtcp-fb:96 nack\r\na=control"), undefined, "RTP/AVPF"],
  ] as const) {
    const camera = new ScriptedCamera({ sdp });
    const open = openRtspSource({ dial: camera.dial, clock: new ManualClock(), logger: silentLogger });
    const played = camera.request("PLAY");
    const opening = open("rtsp://cam/x", { signal: new AbortController().signal });
    await played;
    camera.pictures(0, 1);
    const source = await opening;
    source.start({ onSample() {}, onDescription() {}, onEnd() {} });
    const before = camera.interleaved.length;
    source.requestKeyframe!(0);
    source.requestKeyframe!(0);
    source.requestKeyframe!(2);
    for (let turns = 0; turns < 10; turns++) await turn();
    const wishes = camera.interleaved.slice(before).map(({ channel, payload }) => [channel, parseRtcp(payload)[2]]);
    const of = (sequence: number) => {
      const [report] = parseRtcp(camera.interleaved.at(-1)!.payload);
      assert.equal(report?.type, "receiver-report");
      const senderSsrc = report.ssrc;
      if (wanted === "pli") return [1, { type: "pli", senderSsrc, mediaSsrc: 0x1234 }];
      return [1, { type: "fir", senderSsrc, entries: [{ ssrc: 0x1234, sequence }] }];
    };
    assert.deepEqual(wishes, wanted ? [of(1), of(2)] : [], sdp);
    const setup = camera.requests.find(({ method }) => method === "SETUP")!;
    assert.equal(headerOf(setup, "transport")?.split(";")[0], `${profile}/TCP`);
    await source.close({ code: "done" });
  }
});

test("a camera that describes feedback and refuses to be asked for it is asked without", async () => {
  const asked: string[] = [];
  const camera = new ScriptedCamera({
    sdp: videoSdp().replace("RTP/AVP 96", "RTP/AVPF 96"),
    answer: (request) => {
      if (request.method !== "SETUP") return undefined;
      const [profile = ""] = headerOf(request, "transport")!.split(";");
      asked.push(profile);
      return profile.includes("AVPF") ? { status: "461 Unsupported Transport" } : undefined;
    },
  });
  const open = openRtspSource({ dial: camera.dial, clock: new ManualClock(), logger: silentLogger });
  const played = camera.request("PLAY");
  const opening = open("rtsp://cam/x", { signal: new AbortController().signal });
  await played;
  camera.pictures(0, 1);
  await (await opening).close({ code: "done" });
  assert.deepEqual(asked, ["RTP/AVPF/TCP", "RTP/AVP/TCP"]);
});

test("a camera that begins in the middle, or whose packets are lost, is asked for a key frame once a second", async () => {
  const camera = new ScriptedCamera({ sdp: videoSdp(undefined, undefined, "a=rtcp-fb:96 nack pli") });
  const clock = new ManualClock();
  const open = openRtspSource({ dial: camera.dial, clock, logger: silentLogger });
  const wishes = (): number =>
    camera.interleaved.filter(({ payload }) => parseRtcp(payload).some(({ type }) => type === "pli")).length;
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 10; turns++) await turn();
  };
  const played = camera.request("PLAY");
  const opening = open("rtsp://cam/x", { signal: new AbortController().signal });
  await played;
  camera.pictures(1, 5);
  const source = await opening;
  const shown: number[] = [];
  source.start({ onSample: ({ pts }) => void shown.push(pts), onDescription() {}, onEnd() {} });
  await settle();
  assert.deepEqual([wishes(), shown.length], [1, 0]);
  clock.advance(1_000);
  camera.pictures(6, 12);
  await settle();
  assert.deepEqual([wishes(), shown.length], [2, 3]);
  clock.advance(1_000);
  camera.rtp([0x41, 0x9a, 0x02, 0x03], { timestamp: 14 * 3_600, marker: true, lost: 1 });
  camera.pictures(15, 16);
  await settle();
  assert.deepEqual([wishes(), shown.length], [3, 3]);
  await source.close({ code: "done" });
});

test("a probe asks for the description and nothing more", async () => {
  const camera = new ScriptedCamera();
  const open = openRtspSource({ dial: camera.dial, clock: new ManualClock(), logger: silentLogger });
  const source = await open("rtsp://cam/x", { signal: new AbortController().signal, isProbe: true });
  await source.close({ code: "probed" });
  const methods = camera.requests.map(({ method }) => method);
  assert.ok(methods.includes("DESCRIBE"));
  assert.ok(!methods.includes("SETUP") && !methods.includes("PLAY"), methods.join());
});

test("gives up at once when it is aborted, in whatever it is doing", async () => {
  const early = new AbortController();
  early.abort(new Error("too late"));
  await assert.rejects(opener().open("rtsp://cam/x", early.signal), { code: "RTSP_ABORTED", message: "too late" });

  const dialling = new AbortController();
  const dial = (_host: string, _port: number, signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  const first = opener({ dial }).open("rtsp://cam/x", dialling.signal);
  dialling.abort(new Error("timed out"));
  await assert.rejects(first, { name: "TransportError" });

  const [ours, theirs] = duplexPair();
  const waiting = new AbortController();
  const asked = new Promise((resolve) => {
    ours.once("data", resolve);
  });
  const { clock, open } = opener({ dial: async () => theirs });
  const second = open("rtsp://cam/x", waiting.signal);
  await asked;
  waiting.abort(new Error("timed out"));
  await assert.rejects(second, { code: "RTSP_ABORTED" });
  assert.equal(theirs.destroyed, true);
  assert.equal(clock.pendingTimers, 0);
});
