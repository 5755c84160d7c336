import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { answerTimeoutMs, RtspDialogue, type RtspEvent } from "./rtsp-dialogue.ts";
import { parseRtspUrl } from "./rtsp-url.ts";

const sdp = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";

/** A dialogue and what a test needs to play the server. */
function pair(url = "rtsp://camera/live") {
  const frames: { channel: number; length: number }[] = [];
  const dialogue = new RtspDialogue({
    url: parseRtspUrl(url),
    random: () => 0.5,
    onInterleaved: (channel, packet) => frames.push({ channel, length: packet.length }),
  });
  const take = (): string => {
    const bytes = dialogue.takeOutput();
    return bytes ? new TextDecoder().decode(bytes) : "";
  };
  const answer = (status: string, headers: string[] = [], body = "", nowMs = 0): RtspEvent[] => {
    const length = body ? [`Content-Length: ${body.length}`] : [];
    const text = [`RTSP/1.0 ${status}`, ...headers, ...length, "", body].join("\r\n");
    return dialogue.receive(new TextEncoder().encode(text), nowMs);
  };
  return { dialogue, frames, take, answer };
}

function play(session: string, peer = pair(), isOptionsAnswered = true) {
  const { dialogue, take, answer } = peer;
  dialogue.begin(0);
  take();
  if (isOptionsAnswered) answer("200 OK", ["CSeq: 1", "Public: DESCRIBE, SETUP, PLAY, GET_PARAMETER"]);
  take();
  answer("200 OK", ["CSeq: 2", "Content-Base: rtsp://10.0.0.7/live/"], sdp);
  dialogue.setUp(
    [{ uri: "rtsp://camera/live/trackID=1", transport: "RTP/AVP/TCP;interleaved=0-1" }],
    "rtsp://camera/live/",
    0,
  );
  take();
  answer("200 OK", ["CSeq: 3", session, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"]);
  const request = take();
  answer("200 OK", ["CSeq: 4", "RTP-Info: url=trackID=1;seq=5;rtptime=77"]);
  return { ...peer, playRequest: request };
}

test("asks OPTIONS, DESCRIBE, SETUP, PLAY one after the other, and never sends credentials in a request line", () => {
  const { dialogue, take, answer } = pair("rtsp://user:secret@camera:8554/live?x=1");
  dialogue.begin(0);
  assert.match(take(), /^OPTIONS rtsp:\/\/camera:8554\/live\?x=1 RTSP\/1\.0\r\nCSeq: 1\r\n/);
  assert.deepEqual(answer("200 OK", ["CSeq: 1"]), []);
  assert.match(
    take(),
    /^DESCRIBE rtsp:\/\/camera:8554\/live\?x=1 RTSP\/1\.0\r\nCSeq: 2\r\nAccept: application\/sdp\r\n/,
  );
  const events = answer("200 OK", ["CSeq: 2", "Content-Base: rtsp://192.168.1.9/live/"], sdp);
  assert.deepEqual(events, [{ kind: "described", sdp, base: "rtsp://camera:8554/live/" }]);
  dialogue.setUp([{ uri: "rtsp://camera:8554/live/a", transport: "T" }], "rtsp://camera:8554/live/", 0);
  assert.match(take(), /^SETUP rtsp:\/\/camera:8554\/live\/a RTSP\/1\.0\r\nCSeq: 3\r\nTransport: T\r\n/);
  const [ready] = answer("200 OK", ["CSeq: 3", "Session: abc;timeout=10", "Transport: RTP/AVP/TCP;interleaved=4-5"]);
  assert.deepEqual(ready?.kind === "set-up" && ready.transport.interleaved, [4, 5]);
  const request = take();
  assert.match(request, /^PLAY rtsp:\/\/camera:8554\/live\/ RTSP\/1\.0\r\n/);
  assert.match(request, /\r\nSession: abc\r\n/);
  assert.doesNotMatch(request, /\r\nRange:/);
  const [playing] = answer("200 OK", ["CSeq: 4", "RTP-Info: url=rtsp://camera/a;seq=1;rtptime=2"]);
  assert.deepEqual(playing, { kind: "playing", info: [{ url: "rtsp://camera/a", sequence: 1, rtpTimestamp: 2 }] });
  assert.equal(dialogue.sessionTimeoutMs, 10_000);
});

test("keeps the session alive with GET_PARAMETER at half the announced timeout", () => {
  const { dialogue, take, answer } = play("Session: abc;timeout=20");
  assert.equal(dialogue.nextTimeoutMs, 10_000);
  assert.deepEqual(dialogue.timeout(9_999), []);
  assert.equal(take(), "");
  dialogue.timeout(10_000);
  assert.match(take(), /^GET_PARAMETER rtsp:\/\/camera\/live\/ RTSP\/1\.0\r\nCSeq: 5\r\n/);
  answer("200 OK", ["CSeq: 5"], "", 10_010);
  assert.equal(dialogue.nextTimeoutMs, 20_000);
});

test("goes over to OPTIONS where GET_PARAMETER is refused", () => {
  const { dialogue, take, answer } = play("Session: abc;timeout=20");
  dialogue.timeout(10_000);
  take();
  assert.deepEqual(answer("501 Not Implemented", ["CSeq: 5"], "", 10_001), []);
  dialogue.timeout(20_000);
  assert.match(take(), /^OPTIONS /);
});

test("goes on when a keep-alive is never answered, and does not take a late answer for another's", () => {
  const { dialogue, take, answer } = play("Session: abc;timeout=20");
  dialogue.timeout(10_000);
  take();
  assert.deepEqual(dialogue.timeout(15_000), []);
  dialogue.timeout(20_000);
  assert.match(take(), /CSeq: 6\r\n/);
  assert.deepEqual(answer("454 Session Not Found", ["CSeq: 5"], "", 20_001), []);
  assert.equal(dialogue.isOver, false);
});

test("ends when the server forgot the session", () => {
  const { dialogue, answer } = play("Session: abc");
  dialogue.timeout(30_000);
  const [event] = answer("454 Session Not Found", ["CSeq: 5"], "", 30_001);
  assert.equal(event?.kind === "ended" && event.code, "RTSP_SESSION_GONE");
  assert.equal(dialogue.isOver, true);
});

test("ends an unanswered DESCRIBE with a sentence, but goes on after an unanswered OPTIONS", () => {
  const { dialogue, take } = pair();
  dialogue.begin(0);
  take();
  assert.deepEqual(dialogue.timeout(answerTimeoutMs), []);
  assert.match(take(), /^DESCRIBE /);
  const [event] = dialogue.timeout(2 * answerTimeoutMs);
  assert.deepEqual(event, {
    kind: "ended",
    code: "RTSP_NO_ANSWER",
    message: "the server did not answer DESCRIBE within 5 s",
  });
});

const md5 = (text: string): string => createHash("md5").update(text).digest("hex");

test("answers a digest challenge once, counts the nonce on, and renews a stale one", () => {
  const { dialogue, take, answer } = pair("rtsp://u:p@camera/live");
  dialogue.begin(0);
  take();
  answer("401 Unauthorized", ["CSeq: 1", 'WWW-Authenticate: Digest realm="r", nonce="n1", qop="auth"']);
  const first = take();
  const cnonce = /cnonce="([0-9a-f]+)"/.exec(first)![1]!;
  const proof = md5(`${md5("u:r:p")}:n1:00000001:${cnonce}:auth:${md5("OPTIONS:rtsp://camera/live")}`);
  assert.ok(first.includes(`response="${proof}"`) && first.includes("nc=00000001"), first);
  answer("200 OK", ["CSeq: 2"]);
  assert.match(take(), /^DESCRIBE .*nc=00000002/s);
  assert.deepEqual(
    answer("401 Unauthorized", ["CSeq: 3", 'WWW-Authenticate: Digest realm="r", nonce="n2", stale=true']),
    [],
  );
  const renewed = take();
  assert.ok(renewed.includes(`response="${md5(`${md5("u:r:p")}:n2:${md5("DESCRIBE:rtsp://camera/live")}`)}"`), renewed);
});

test("takes a second refusal of fresh credentials for wrong credentials", () => {
  const { dialogue, take, answer } = pair("rtsp://u:wrong@camera/live");
  dialogue.begin(0);
  take();
  answer("401 Unauthorized", ["CSeq: 1", 'WWW-Authenticate: Digest realm="r", nonce="n1"']);
  take();
  const [event] = answer("401 Unauthorized", ["CSeq: 2", 'WWW-Authenticate: Digest realm="r", nonce="n2"']);
  assert.deepEqual(event, { kind: "refused", method: "OPTIONS", status: 401, reason: "Unauthorized" });
  assert.equal(take(), "");
});

test("answers the server's own requests, and ends with its TEARDOWN", () => {
  const { dialogue, take } = play("Session: abc");
  const send = (text: string): RtspEvent[] => dialogue.receive(new TextEncoder().encode(text), 1);
  assert.deepEqual(send("OPTIONS * RTSP/1.0\r\nCSeq: 77\r\n\r\n"), []);
  assert.match(take(), /^RTSP\/1\.0 200 OK\r\nCSeq: 77\r\n/);
  send("PING rtsp://x RTSP/1.0\r\nCSeq: 78\r\n\r\n");
  assert.match(take(), /^RTSP\/1\.0 501 /);
  const [event] = send("TEARDOWN rtsp://x RTSP/1.0\r\nCSeq: 79\r\n\r\n");
  assert.equal(event?.kind === "ended" && event.code, "RTSP_TEARDOWN");
});

test("says goodbye only where there is a session", () => {
  const { dialogue, take } = play("Session: abc");
  dialogue.tearDown(5);
  assert.match(take(), /^TEARDOWN rtsp:\/\/camera\/live\/ RTSP\/1\.0\r\n.*Session: abc/s);
  assert.equal(dialogue.nextTimeoutMs, undefined);
  const fresh = pair();
  fresh.dialogue.begin(0);
  fresh.take();
  fresh.dialogue.tearDown(0);
  assert.equal(fresh.take(), "");
});

test("hands on a redirect instead of following it", () => {
  const { dialogue, answer } = pair();
  dialogue.begin(0);
  answer("200 OK", ["CSeq: 1"]);
  assert.deepEqual(answer("302 Moved", ["CSeq: 2", "Location: rtsp://camera:9/other"]), [
    { kind: "redirected", location: "rtsp://camera:9/other" },
  ]);
});

test("understands a recorded session of GStreamer's server, however its bytes are cut", () => {
  const recording = readFileSync(new URL("../../test/fixtures/rtsp/gstreamer-h264-aac.bin", import.meta.url));
  const replay = (chunkLength: number) => {
    const { dialogue, frames, answer } = pair();
    const kinds: string[] = [];
    dialogue.begin(0);
    answer("200 OK", ["CSeq: 1", "Public: GET_PARAMETER"]);
    const described = recording.indexOf("RTSP/1.0", 1);
    for (let at = 0; at < recording.length;) {
      // No server answers SETUP before it was asked.
      const end = Math.min(at + chunkLength, at < described ? described : recording.length);
      const chunk = recording.subarray(at, end);
      at = end;
      for (const event of dialogue.receive(chunk, 0)) {
        kinds.push(event.kind);
        if (event.kind !== "described") continue;
        const requests = [0, 1].map((index) => ({ uri: `${event.base}stream=${index}`, transport: "RTP/AVP/TCP" }));
        dialogue.setUp(requests, event.base, 0);
      }
    }
    return { kinds, frames };
  };
  const whole = replay(recording.length);
  assert.deepEqual(whole.kinds, ["described", "set-up", "set-up", "playing"]);
  assert.ok(whole.frames.length > 300, `${whole.frames.length} frames`);
  assert.deepEqual(new Set(whole.frames.map(({ channel }) => channel)), new Set([0, 2, 3]));
  for (const chunkLength of [1, 2, 3, 7, 100, 1_460, 65_536]) {
    assert.deepEqual(replay(chunkLength), whole, `chunks of ${chunkLength}`);
  }
});

test("refuses what is not RTSP, and endless headers", () => {
  for (const bytes of [Buffer.alloc(300_000, 1), Buffer.from(`RTSP/1.0 200 OK\r\nA: ${"x".repeat(70_000)}`)]) {
    const { dialogue } = pair();
    dialogue.begin(0);
    const [event] = dialogue.receive(bytes, 0);
    assert.match(event?.kind === "ended" ? event.code : "", /^RTSP_(GARBAGE|HEAD_TOO_LARGE)$/);
    assert.equal(dialogue.isOver, true);
  }
});
