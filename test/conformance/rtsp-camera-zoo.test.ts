// Cameras that break the rules in ways people reported in public; each is named by what it does.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { NoSuchStream, type Source } from "../../media-node/core/source.ts";
import { silentLogger, type Logger } from "../../media-node/flow/logger.ts";
import { serializeRtcp } from "../../media-node/rtp/rtcp.ts";
import { serializeInterleavedFrame } from "../../media-node/rtsp/interleaved-frame.ts";
import { headerOf } from "../../media-node/rtsp/rtsp-message.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { collectSource, type Collected } from "../support/collect-source.ts";
import { h264, ScriptedCamera, sprop, videoSdp, type CameraScript } from "../support/scripted-camera.ts";
import { until } from "../support/until.ts";

interface Visit {
  readonly camera: ScriptedCamera;
  readonly clock: ManualClock;
  readonly open: (url?: string) => Promise<Source>;
}

/** A camera and a way to pull from it; after the test no timer may be left. */
function visit(t: TestContext, script: CameraScript = {}, logger: Logger = silentLogger): Visit {
  const camera = new ScriptedCamera(script);
  const clock = new ManualClock();
  const opened: Source[] = [];
  const openSource = openRtspSource({ dial: camera.dial, clock, logger, random: () => 0.25 });
  t.after(async () => {
    for (const source of opened) await source.close({ code: "done" });
    assert.equal(clock.pendingTimers, 0, "a timer is left");
  });
  return {
    camera,
    clock,
    async open(url = "rtsp://camera/live") {
      const source = await openSource(url, { signal: new AbortController().signal });
      opened.push(source);
      return source;
    },
  };
}

const annexB = (...nals: number[][]): number[] => nals.flatMap((nal) => [0, 0, 0, 1, ...nal]);

/** Ten pictures arrive whole and in order. */
async function assertPlays({ camera }: Visit, source: Source): Promise<Collected> {
  const collected = collectSource(source);
  camera.pictures(0, 10);
  await collected.until((samples) => samples.length >= 10);
  assert.equal(collected.samples[0]!.isKeyframe, true);
  return collected;
}

async function assertStillPlaying({ camera }: Visit, { samples, until }: Collected): Promise<void> {
  const before = samples.length;
  camera.pictures(20, 22);
  await until(() => samples.length >= before + 2);
}

test("writes its own address and not the one it is reached by (webrtc-streamer#215, ZoneMinder#685)", async (t) => {
  const v = visit(t, {
    sdp: videoSdp(sprop, "rtsp://192.168.0.9/live/trackID=1"),
    answer: ({ method }) =>
      method === "DESCRIBE" ? { headers: ["Content-Base: rtsp://192.168.0.9:554/live/"] } : undefined,
  });
  await assertPlays(v, await v.open("rtsp://public.example:8554/live"));
  assert.deepEqual(
    v.camera.requests.map(({ uri }) => uri.slice(0, 26)).filter((uri) => uri !== "rtsp://public.example:8554"),
    [],
  );
});

test("writes an empty Content-Base, or one without a scheme (mediamtx#825, moonfire-nvr#356)", async (t) => {
  for (const contentBase of ["", "192.168.1.10:554/live/"]) {
    const v = visit(t, {
      answer: ({ method }) => (method === "DESCRIBE" ? { headers: [`Content-Base: ${contentBase}`] } : undefined),
    });
    await assertPlays(v, await v.open());
    assert.equal(v.camera.requests[2]!.uri, "rtsp://camera/live/trackID=1");
  }
});

test("ends its Content-Base in a query (gortsplib#121)", async (t) => {
  const v = visit(t, {
    sdp: videoSdp(sprop, "trackID=0"),
    answer: ({ method, uri }) => (method === "DESCRIBE" ? { headers: [`Content-Base: ${uri}`] } : undefined),
  });
  await assertPlays(v, await v.open("rtsp://camera/param/cameraid=1%241?token=69154"));
  assert.equal(v.camera.requests[2]!.uri, "rtsp://camera/param/cameraid=1%241?token=69154/trackID=0");
});

test("answers with the number of another request, or with none (homebridge-foscamcamera#6, retina#133)", async (t) => {
  for (const cseq of ["CSeq: 0", "CSeq:  x ", "Date: today"]) {
    const v = visit(t, {
      answer: ({ method }) => {
        if (method === "OPTIONS") return { headers: [cseq] };
        return method === "SETUP"
          ? { headers: [cseq, "Session: 7", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"] }
          : undefined;
      },
    });
    await assertPlays(v, await v.open());
  }
});

test("refuses the keep-alive it announced, with the number of another request (retina#136)", async (t) => {
  const v = visit(t, {
    answer: ({ method }) =>
      method === "GET_PARAMETER" ? { status: "400 Bad Request", headers: ["CSeq: 4"] } : undefined,
  });
  const collected = await assertPlays(v, await v.open());
  const refused = v.camera.request("GET_PARAMETER");
  v.clock.advance(30_000);
  await refused;
  await new Promise((resolve) => setImmediate(resolve));
  const again = v.camera.request("OPTIONS");
  v.clock.advance(30_000);
  await again;
  await assertStillPlaying(v, collected);
});

test("never answers the keep-alive it announced (ZLMediaKit#642)", async (t) => {
  const v = visit(t, { answer: ({ method }) => (method === "GET_PARAMETER" ? false : undefined) });
  const collected = await assertPlays(v, await v.open());
  const other = v.camera.request("OPTIONS");
  for (let second = 0; second < 60; second++) v.clock.advance(1_000);
  await other;
  await assertStillPlaying(v, collected);
});

test("asks for credentials anew in the middle of playing (SharpRTSP#126)", async (t) => {
  let nonce = "first";
  const v = visit(t, {
    answer: (request) => {
      const isGood = headerOf(request, "authorization")?.includes(`nonce="${nonce}"`);
      const challenge = `WWW-Authenticate: Digest realm="AXIS", nonce="${nonce}", algorithm=MD5, qop="auth"`;
      return isGood ? undefined : { status: "401 Unauthorized", headers: [challenge] };
    },
  });
  const collected = await assertPlays(v, await v.open("rtsp://u:p@camera/live"));
  nonce = "second";
  const [first, renewed] = [v.camera.request("GET_PARAMETER"), v.camera.request("GET_PARAMETER")];
  v.clock.advance(30_000);
  await first;
  await renewed;
  await assertStillPlaying(v, collected);
});

test("leaves parameter sets to the stream (gortsplib#88), or writes half of them (FFmpeg#181)", async (t) => {
  for (const fmtp of ["profile-level-id=4D0014", `${sprop.split(",")[0]},`, "sprop-parameter-sets="]) {
    const v = visit(t, { sdp: videoSdp(fmtp) });
    const playing = v.camera.request("PLAY");
    const opening = v.open();
    await playing;
    v.camera.rtp(h264.sps, { timestamp: 0 });
    v.camera.rtp(h264.pps, { timestamp: 0 });
    v.camera.pictures(0, 2);
    const source = await opening;
    assert.deepEqual(source.description.tracks[0]?.video, { width: 320, height: 240, framerate: 25 });
    await collectSource(source).until((samples) => samples.length >= 2);
  }
});

test("sends parameter sets with the time of the picture before, and a marker (retina#13)", async (t) => {
  const v = visit(t);
  const { samples, until } = await assertPlays(v, await v.open());
  v.camera.rtp(h264.sps, { timestamp: 36_000, marker: true });
  v.camera.rtp(h264.pps, { timestamp: 36_000 });
  v.camera.rtp(h264.idr, { timestamp: 39_600, marker: true });
  await until(() => samples.length >= 12);
  assert.deepEqual([...samples.at(-1)!.data], annexB(h264.sps, h264.pps, h264.idr));
  assert.equal(samples.at(-1)!.pts - samples.at(-2)!.pts, 3_600);
});

test("sets the marker on every slice (obs-rtspserver#199), or never (SharpRTSP#57)", async (t) => {
  const rest = [0x41, 0x40, 0x01];
  for (const marker of [true, false]) {
    const v = visit(t);
    const { samples, until } = collectSource(await v.open());
    for (let index = 0; index < 5; index++) {
      v.camera.rtp(index === 0 ? h264.idr : h264.slice, { timestamp: index * 3_600, marker });
      v.camera.rtp(rest, { timestamp: index * 3_600, marker });
    }
    await until(() => samples.length >= 4);
    for (const { data } of samples.slice(1)) assert.deepEqual([...data], annexB(h264.slice, rest));
  }
});

test("puts a byte stream of several units into one fragmented unit (retina#68)", async (t) => {
  const v = visit(t);
  const { samples, until } = collectSource(await v.open());
  const whole = [...h264.sps.slice(1), ...annexB(h264.pps, h264.idr)];
  v.camera.rtp([0x7c, 0x87, ...whole.slice(0, 20)], { timestamp: 0 });
  v.camera.rtp([0x7c, 0x47, ...whole.slice(20)], { timestamp: 0, marker: true });
  v.camera.rtp(h264.slice, { timestamp: 3_600, marker: true });
  await until(() => samples.length >= 2);
  assert.deepEqual([...samples[0]!.data], annexB(h264.sps, h264.pps, h264.idr));
  assert.equal(samples[0]!.isKeyframe, true);
});

test("sends garbage between frames (gortsplib#653)", async (t) => {
  const v = visit(t);
  const { samples, until } = await assertPlays(v, await v.open());
  v.camera.write(Uint8Array.from([0x54, 0x00, 0x24, 0x91, 0xff, 0xff, 0x41, 0x42, 0x0a, 0x01]));
  v.camera.pictures(11, 15);
  await until(() => samples.length >= 15);
});

test("folds its answer to PLAY around a blank line (scrypted#2137)", async (t) => {
  const v = visit(t, {
    answer: ({ method }) =>
      method === "PLAY"
        ? { raw: "RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: 7\r\n \r\nRTP-Info: url=a;seq=1;rtptime=5\r\n\r\n" }
        : undefined,
  });
  await assertPlays(v, await v.open());
});

test("sends media before it answers PLAY (retina#46)", async (t) => {
  const v = visit(t, {
    answer: ({ method }, camera) => {
      if (method === "PLAY") camera.pictures(0, 1);
      return undefined;
    },
  });
  const { samples, until } = collectSource(await v.open());
  v.camera.pictures(2, 5);
  await until(() => samples.length >= 5);
  assert.equal(samples[0]!.isKeyframe, true);
});

test("changes its SSRC at every key frame (gortsplib#687)", async (t) => {
  const v = visit(t);
  const { samples, until } = collectSource(await v.open());
  for (let index = 0; index < 30; index++) {
    const ssrc = 100 + Math.floor(index / 10);
    v.camera.rtp(index % 10 === 0 ? h264.idr : h264.slice, { timestamp: index * 3_600, marker: true, ssrc });
  }
  await until(() => samples.length >= 29);
  const steps = new Set(samples.slice(1).map((sample, index) => sample.dts - samples[index]!.dts));
  assert.deepEqual([...steps], [3_600]);
});

test("begins anew with another SSRC, numbering and clock (AndroidStreamingClient#12)", async (t) => {
  const v = visit(t);
  const { samples, until } = await assertPlays(v, await v.open());
  const before = samples.length;
  v.clock.advance(500);
  for (let index = 0; index < 5; index++) {
    const timestamp = 3_000_000_000 + index * 3_600;
    const payload = index === 0 ? h264.idr : h264.slice;
    v.camera.rtp(payload, { timestamp, marker: true, ssrc: 9, lost: index === 0 ? 20_000 : 0 });
  }
  await until(() => samples.length >= before + 4);
  const restarted = samples.find((sample, index) => index > 0 && sample.isKeyframe && index >= 10)!;
  const gapMs = (restarted.dts - samples[samples.indexOf(restarted) - 1]!.dts) / 90;
  assert.ok(gapMs > 0 && gapMs <= 600, `${gapMs} ms`);
});

test("uses another payload type than it announced, and announces odd ones (gortsplib#630)", async (t) => {
  const odd = videoSdp().replaceAll("96", "35");
  for (const [sdp, payloadType] of [
    [odd, 35],
    [videoSdp(), 97],
  ] as const) {
    const v = visit(t, { sdp });
    const { samples, until } = collectSource(await v.open());
    for (let index = 0; index < 30; index++) {
      v.camera.rtp(index % 10 === 0 ? h264.idr : h264.slice, { timestamp: index * 3_600, marker: true, payloadType });
    }
    await until(() => samples.length >= 15);
  }
});

test("says rtptime=0 and means nothing by it (retina#64)", async (t) => {
  const v = visit(t, {
    sdp: videoSdp(sprop, "a", "m=audio 0 RTP/AVP 8", "a=control:b"),
    answer: ({ method }) =>
      method === "PLAY"
        ? { headers: ["Session: 7", "RTP-Info: url=a;seq=1;rtptime=0,url=b;seq=1;rtptime=0"] }
        : undefined,
  });
  const { samples, until } = collectSource(await v.open());
  v.camera.rtp(h264.idr, { timestamp: 90_000 * 3, marker: true });
  v.camera.rtp(h264.slice, { timestamp: 90_000 * 3 + 3_600, marker: true });
  v.camera.rtp([1, 2, 3], { timestamp: 8_000, channel: 2, payloadType: 8 });
  await until(() => samples.length >= 3);
  const [video, audio] = [samples[0]!, samples.find(({ trackId }) => trackId === 1)!];
  assert.ok(Math.abs(video.pts / 90 - audio.pts / 8) < 50);
});

test("grants multicast, whatever it is asked for: that is said, and not waited for", async (t) => {
  const headers = ["Session: 7", "Transport: RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=1"];
  const v = visit(t, { answer: ({ method }) => (method === "SETUP" ? { headers } : undefined) });
  await assert.rejects(v.open("rtsp://camera/live?transport=tcp"), { code: "RTSP_TRANSPORT", message: /multicast/ });
});

test("chooses other channels than it was asked for (mediamtx#19)", async (t) => {
  const v = visit(t, {
    answer: ({ method }) =>
      method === "SETUP"
        ? { headers: ["Session: 7", "Transport: RTP/AVP/TCP;unicast;interleaved=8-9;ssrc=2A27A3FB"] }
        : undefined,
  });
  const { samples, until } = collectSource(await v.open());
  v.camera.rtp(h264.idr, { timestamp: 0, marker: true, channel: 8 });
  v.camera.rtp(h264.slice, { timestamp: 3_600, marker: true, channel: 8 });
  await until(() => samples.length >= 2);
});

test("answers in RTSP 2.0, with its names for things (RFC 7826)", async (t) => {
  const v = visit(t, {
    answer: (request) => {
      const headers: Record<string, string> = {
        OPTIONS: "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\nSupported: play.basic",
        DESCRIBE: `Content-Base: ${request.uri}/\r\nContent-Type: application/sdp`,
        SETUP:
          'Session: 7;timeout=60\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc="00001234"\r\nMedia-Properties: No-Seeking, Time-Progressing',
        PLAY: 'Session: 7\r\nRange: npt=now-\r\nRTP-Info: url="rtsp://camera/live/trackID=1" ssrc=00001234:seq=100;rtptime=0',
      };
      const body = request.method === "DESCRIBE" ? videoSdp() : "";
      const cseq = `CSeq: ${headerOf(request, "cseq")}`;
      return {
        raw: ["RTSP/2.0 200 OK", cseq, headers[request.method] ?? "", `Content-Length: ${body.length}`, "", body].join(
          "\r\n",
        ),
      };
    },
  });
  await assertPlays(v, await v.open());
});

test("does not know OPTIONS, or never answers it", async (t) => {
  const refusing = visit(t, { answer: ({ method }) => (method === "OPTIONS" ? { status: "501 No" } : undefined) });
  await assertPlays(refusing, await refusing.open());
  const silent = visit(t, { answer: ({ method }) => (method === "OPTIONS" ? false : undefined) });
  const asked = silent.camera.request("OPTIONS");
  const opening = silent.open();
  await asked;
  silent.clock.advance(5_000);
  await assertPlays(silent, await opening);
});

test("offers metadata and pictures nobody plays beside its video", async (t) => {
  const v = visit(t, {
    sdp: videoSdp(
      sprop,
      "v",
      "m=application 0 RTP/AVP 107",
      "a=rtpmap:107 vnd.onvif.metadata/90000",
      "a=control:m",
      "m=video 0 RTP/AVP 26",
      "a=control:j",
    ),
  });
  const source = await v.open();
  await assertPlays(v, source);
  assert.equal(source.description.tracks.length, 1);
  assert.equal(v.camera.requests.filter(({ method }) => method === "SETUP").length, 1);
});

test("wants to be talked to: its back channel is neither set up nor a track of its own", async (t) => {
  const talk = ["m=audio 0 RTP/AVP 0", "a=sendonly", "a=control:t"];
  const own = ["m=audio 0 RTP/AVP 8", "a=recvonly", "a=control:o"];
  const v = visit(t, { sdp: videoSdp(sprop, "v", "a=recvonly", ...talk, ...own) });
  const source = await v.open();
  await assertPlays(v, source);
  assert.deepEqual(
    source.description.tracks.map(({ id, codec }) => [id, codec]),
    [
      [0, "h264"],
      [1, "pcma"],
    ],
  );
  // Others mark all that they send.
  const sends = visit(t, { sdp: videoSdp(sprop, "v", "a=sendonly", ...talk) });
  assert.equal((await sends.open()).description.tracks.length, 2);
});

test("offers only what nobody plays, some of it by number alone: all of it is named", async (t) => {
  const sections = ["m=audio 0 RTP/AVP 9", "a=control:a", "m=audio 0 RTP/AVP 97", "m=application 0 RTP/AVP 98"];
  const sdp = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", ...sections, "a=rtpmap:98 vnd.onvif.metadata/90000", ""];
  await assert.rejects(visit(t, { sdp: sdp.join("\r\n") }).open(), {
    message: /audio G722, audio payload type 97, application vnd\.onvif\.metadata/,
  });
});

test("refuses its sound track and plays the rest", async (t) => {
  const v = visit(t, {
    sdp: videoSdp(sprop, "a", "m=audio 0 RTP/AVP 8", "a=control:b"),
    answer: ({ method, uri }) => (method === "SETUP" && uri.endsWith("/b") ? { status: "500 Internal" } : undefined),
  });
  const source = await v.open();
  await assertPlays(v, source);
  assert.deepEqual(
    source.description.tracks.map(({ kind }) => kind),
    ["video"],
  );
});

test("redirects: within its host it is followed, elsewhere it is not", async (t) => {
  const moved = (location: string): CameraScript => ({
    answer: ({ method, uri }) =>
      method === "DESCRIBE" && uri.endsWith("/live")
        ? { status: "302 Moved", headers: [`Location: ${location}`] }
        : undefined,
  });
  const v = visit(t, moved("rtsp://camera/other"));
  await assertPlays(v, await v.open());
  assert.equal(v.camera.connections, 2);
  const astray = visit(t, moved("rtsp://elsewhere/live"));
  await assert.rejects(astray.open(), { code: "RTSP_REDIRECT" });
  const circle = visit(t, moved("rtsp://camera/x/live"));
  await assert.rejects(circle.open(), { code: "RTSP_REDIRECT", message: /more than 3/ });
});

test("loses packets: no broken picture is passed on, and video waits for the next key frame", async (t) => {
  const v = visit(t);
  const { samples, until } = await assertPlays(v, await v.open());
  v.camera.rtp([0x5c, 0x81, 0x9a, 1], { timestamp: 39_600 });
  v.camera.rtp([0x5c, 0x41, 2], { timestamp: 39_600, marker: true, lost: 1 });
  v.camera.pictures(12, 21);
  await until(() => samples.length >= 13);
  assert.deepEqual(
    samples.slice(10).map(({ pts, isKeyframe }) => [(pts - samples[0]!.pts) / 3_600, isKeyframe]),
    [
      [10, true],
      [20, true],
      [21, false],
    ],
  );
});

test("changes its resolution: a new description comes before the picture that needs it", async (t) => {
  const v = visit(t);
  const { samples, descriptions, until } = await assertPlays(v, await v.open());
  const before = descriptions.length;
  v.camera.rtp([0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xbf, 0xe5, 0xc0, 0x5a], { timestamp: 39_600 });
  v.camera.rtp(h264.pps, { timestamp: 39_600 });
  v.camera.rtp(h264.idr, { timestamp: 39_600, marker: true });
  await until(() => samples.length >= 12);
  assert.equal(descriptions.length, before + 1);
  assert.equal(descriptions.at(-1)!.tracks[0]!.video!.width, 640);
});

test("says no in every way there is, and each is told in plain words", async (t) => {
  const rows: [method: string, status: string, expected: object][] = [
    ["DESCRIBE", "404 Not Found", { name: "NoSuchStream" }],
    ["DESCRIBE", "401 Unauthorized", { code: "RTSP_UNAUTHORIZED" }],
    ["DESCRIBE", "503 Service Unavailable", { name: "TransportError", code: "RTSP_BUSY" }],
    ["SETUP", "453 Not Enough Bandwidth", { code: "RTSP_BUSY" }],
    ["PLAY", "454 Session Not Found", { code: "RTSP_REFUSED" }],
    ["PLAY", "500", { code: "RTSP_REFUSED" }],
  ];
  for (const [method, status, expected] of rows) {
    const v = visit(t, { answer: (request) => (request.method === method ? { status } : undefined) });
    await assert.rejects(v.open(), expected, `${method} ${status}`);
  }
  const mute = visit(t, { sdp: videoSdp().replace("H264/90000", "JPEG/90000") });
  await assert.rejects(mute.open(), { code: "RTSP_NO_TRACK", message: /video JPEG/ });
  assert.ok(new NoSuchStream("x") instanceof Error);
});

test("hangs up, and the sink is told once", async (t) => {
  const v = visit(t);
  const { ended } = await assertPlays(v, await v.open());
  v.camera.end();
  assert.equal((await ended).code, "RTSP_CLOSED");
});

test("is left politely: with TEARDOWN, and no credentials in any request line or log", async (t) => {
  const lines: string[] = [];
  const note = (event: string, fields?: object): void => void lines.push(`${event} ${JSON.stringify(fields)}`);
  const logger: Logger = { debug: note, info: note, warn: note, error: note, with: () => logger };
  const v = visit(t, {}, logger);
  const source = await v.open("rtsp://user:secret@camera/live");
  const goodbye = v.camera.request("TEARDOWN");
  await source.close({ code: "done" });
  assert.equal(headerOf(await goodbye, "session"), "7");
  for (const { uri } of v.camera.requests) assert.ok(!uri.includes("secret"));
  assert.ok(!lines.join("\n").includes("secret"));
});

test("says goodbye by RTCP and leaves the connection open: the source ends at once", async (t) => {
  const v = visit(t);
  const { ended } = await assertPlays(v, await v.open());
  const bye = (ssrc: number): Uint8Array =>
    serializeInterleavedFrame({ channel: 1, payload: serializeRtcp([{ type: "bye", ssrcs: [ssrc] }]) });
  const timers = v.clock.pendingTimers;
  v.camera.write(bye(0x9999));
  v.camera.write(bye(0x1234));
  await until("the goodbye is taken", 5_000, () => v.clock.pendingTimers > timers);
  v.clock.advance(500);
  assert.equal((await ended).code, "RTSP_BYE");
});

test("says goodbye to its SSRC and goes on with another: nothing ends", async (t) => {
  const v = visit(t);
  const collected = await assertPlays(v, await v.open());
  v.camera.write(serializeInterleavedFrame({ channel: 1, payload: serializeRtcp([{ type: "bye", ssrcs: [0x1234] }]) }));
  const before = collected.samples.length;
  for (const [index, nal] of [h264.idr, h264.slice, h264.slice, h264.slice].entries()) {
    v.camera.rtp(nal, { timestamp: 90_000 + index * 3_600, marker: true, ssrc: 0x77 });
  }
  await collected.until((samples) => samples.length >= before + 2);
  v.clock.advance(1_000);
  await assertStillPlaying(v, collected);
});

/** A recovery point SEI (ITU-T H.264 §D.1.8) whose first code says 0 pictures, or 2. */
const recoveryPoint = (pictures: 0 | 2): number[] => [0x06, 6, 1, pictures === 0 ? 0xc4 : 0x64, 0x80];

test("sends pictures to begin with that are no IDR: they end a gap, but nothing begins with them", async (t) => {
  const v = visit(t);
  const collected = collectSource(await v.open());
  const refresh = (index: number, pictures: 0 | 2): void => {
    v.camera.rtp(recoveryPoint(pictures), { timestamp: index * 3_600 });
    v.camera.rtp(h264.slice, { timestamp: index * 3_600, marker: true });
  };
  refresh(0, 0);
  v.camera.pictures(1, 5);
  v.camera.pictures(10, 12);
  // Lost: 13. What comes until 16 refers to it; 16 begins a refresh that takes two pictures, 18 is whole at once.
  v.camera.rtp(h264.slice, { timestamp: 14 * 3_600, marker: true, lost: 1 });
  refresh(16, 2);
  v.camera.pictures(17, 17);
  refresh(18, 0);
  // Shown before the picture that ended the gap: it refers to what is lost.
  v.camera.rtp(h264.slice, { timestamp: 17.5 * 3_600, marker: true });
  v.camera.pictures(19, 19);
  await collected.until((samples) => samples.length >= 5);
  assert.deepEqual(
    collected.samples.map(({ pts, isKeyframe }) => [(pts - collected.samples[0]!.pts) / 3_600, isKeyframe]),
    [
      [0, true],
      [1, false],
      [2, false],
      [8, false],
      [9, false],
    ],
  );
});

test("is asked for datagrams where the rule's URL says so, in a word the camera does not see", async (t) => {
  const v = visit(t, {
    answer: ({ method }) => (method === "SETUP" ? { status: "404 Not Found" } : undefined),
  });
  const setUp = v.camera.request("SETUP");
  await assert.rejects(v.open("rtsp://camera/live?channel=1&transport=udp"), NoSuchStream);
  assert.match(headerOf(await setUp, "transport")!, /^RTP\/AVP;unicast;client_port=/);
  for (const { uri } of v.camera.requests) assert.doesNotMatch(uri, /transport/);
  assert.equal(v.camera.requests[0]!.uri, "rtsp://camera/live?channel=1");
});
