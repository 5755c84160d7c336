import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage } from "node:http";
import { test, type TestContext } from "node:test";
import { WebSocket, type ClientOptions } from "ws";
import { HttpDoor } from "../../test/support/http-door.ts";
import { MemoryMediaPort } from "../../test/support/memory-media-port.ts";
import { descriptionOf, opusSample, opusTrack, videoSample, videoTrack } from "../../test/support/synthetic-stream.ts";
import { MemoryLogger, settle, TestHub } from "../../test/support/webrtc-room.ts";
import type { AdmitViewer } from "../core/guest.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { WebRtcConfig } from "./config.ts";
import { JoinQueue } from "./join-queue.ts";
import { createWebRtc, type WebRtcGuest } from "./web-rtc.ts";

const fingerprint = `sha-256 ${Array.from({ length: 32 }, () => "AB").join(":")}`;

function sdp(lines: readonly string[]): string {
  return ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE video audio", ...lines, ""].join("\r\n");
}

const offer = sdp([
  "a=ice-ufrag:offr",
  "a=ice-pwd:0123456789abcdefghijkl",
  `a=fingerprint:${fingerprint}`,
  "a=setup:actpass",
  "m=video 9 UDP/TLS/RTP/SAVPF 108 109",
  "a=mid:video",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:108 H264/90000",
  "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
  "a=rtcp-fb:108 nack",
  "a=rtcp-fb:108 transport-cc",
  "a=rtpmap:109 rtx/90000",
  "a=fmtp:109 apt=108",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=mid:audio",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:111 opus/48000/2",
]);

const answer = sdp([
  `a=fingerprint:${fingerprint}`,
  "a=setup:active",
  "m=video 9 UDP/TLS/RTP/SAVPF 98 99",
  "a=mid:video",
  "a=ice-ufrag:answ",
  "a=ice-pwd:lkjihgfedcba9876543210",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:98 H264/90000",
  "a=rtpmap:99 rtx/90000",
  "a=fmtp:99 apt=98",
  "m=audio 9 UDP/TLS/RTP/SAVPF 110",
  "a=mid:audio",
  "a=recvonly",
  "a=rtcp-mux",
  "a=rtpmap:110 opus/48000/2",
]);

interface Node {
  readonly url: string;
  readonly hub: TestHub;
  readonly port: MemoryMediaPort;
  readonly guest: WebRtcGuest;
  readonly logger: MemoryLogger;
  readonly joins: JoinQueue;
}

async function node(
  context: TestContext,
  options: { admit?: AdmitViewer; config?: Partial<WebRtcConfig>; description?: StreamDescription } = {},
): Promise<Node> {
  const hub = new TestHub(options.description);
  const port = new MemoryMediaPort();
  const logger = new MemoryLogger();
  const admit: AdmitViewer = options.admit ?? (() => Promise.resolve({ isAdmitted: true }));
  const config = options.config ?? {};
  const joins = new JoinQueue(hub.clock);
  const guest = createWebRtc({ hub: hub.hub, port, admit, clock: hub.clock, logger, config, joins });
  const door = new HttpDoor(guest);
  const url = await door.open();
  context.after(async () => {
    await guest.close({ code: "shutdown" });
    await hub.hub.close({ code: "shutdown" });
    await door.close();
    assert.deepEqual(
      logger.lines.filter(({ level }) => level === "error"),
      [],
    );
  });
  return { url, hub, port, guest, logger, joins };
}

function post(url: string, body = offer, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: "POST", body, headers: { "Content-Type": "application/sdp", ...headers } });
}

/** What a server may send, as far as these tests look at it. */
interface Message {
  readonly command?: string;
  readonly id?: number;
  readonly code?: number;
  readonly peer_id?: number;
  readonly error?: string;
  readonly type?: string;
  readonly candidates?: readonly { readonly candidate: string }[];
  readonly iceServers?: unknown;
  readonly ice_servers?: unknown;
  readonly message?: { readonly renditions?: readonly { readonly video_track: { readonly video: object } }[] };
}

/** A signalling socket that collects what it is told. */
class Player {
  readonly messages: Message[] = [];
  readonly socket: WebSocket;
  closeCode: number | undefined;

  constructor(url: string, options: ClientOptions = {}) {
    this.socket = new WebSocket(url.replace("http", "ws"), options);
    this.socket.on("message", (data: Buffer) => {
      const message: Message = JSON.parse(data.toString());
      this.messages.push(message);
    });
    this.socket.on("close", (code) => (this.closeCode = code));
  }

  async send(message: unknown): Promise<void> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, "open");
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  /** Waits for message `index`, failing after five seconds. */
  async message(index: number): Promise<Message> {
    await until(() => this.messages.length > index);
    return this.messages[index]!;
  }

  async play(): Promise<number> {
    await this.send({ command: "request_offer" });
    const { id } = await this.message(0);
    await this.send({ id, peer_id: 0, command: "answer", sdp: { type: "answer", sdp: answer } });
    await this.message(2);
    return id!;
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!isTrue()) {
    assert.ok(Date.now() < deadline, "waited five seconds in vain");
    await settle();
  }
}

test("WHEP: an offer is answered 201 with absolute Location, ETag, all candidates; media flows; DELETE ends", async (t) => {
  const { url, hub, port } = await node(t);
  const response = await post(`${url}/app/live/whep`);
  assert.equal(response.status, 201);
  assert.equal(response.headers.get("content-type"), "application/sdp");
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  assert.match(response.headers.get("etag") ?? "", /^"[^"]+"$/);
  const location = response.headers.get("location")!;
  assert.ok(location.startsWith(`${url}/app/live/`));
  const text = await response.text();
  assert.match(text, /m=video 9 UDP\/TLS\/RTP\/SAVPF 108 109\r\n/);
  assert.match(text, /a=candidate:1 1 UDP 2130706431 192.0.2.1 10000 typ host\r\na=candidate:2 1 TCP/);
  assert.match(text, /a=rtcp-fb:108 nack\r\n/);
  assert.doesNotMatch(text, /transport-cc/);
  assert.equal(response.headers.get("link"), null, "an ICE-lite server needs no help to be reached");
  const peer = port.peers[0]!;
  const { fingerprints, iceUfrag, icePwd } = peer.remote;
  assert.deepEqual([fingerprints, iceUfrag, icePwd], [[fingerprint], "offr", "0123456789abcdefghijkl"]);
  peer.connect();
  hub.source.push(videoSample(0, { isKeyframe: true }), opusSample(0));
  assert.equal(peer.of(108).length, 2);
  assert.equal(peer.of(111).length, 1);
  assert.equal(hub.viewers.whep, 1);
  for (const expected of [200, 200]) assert.equal((await fetch(location, { method: "DELETE" })).status, expected);
  assert.equal(peer.state, "closed");
  assert.equal(hub.viewers.whep, undefined);
  hub.clock.advance(31_000);
  assert.equal((await fetch(location, { method: "DELETE" })).status, 404);
});

const delayUri = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
const withDelay = (text: string, id: number): string =>
  text.replace("a=mid:video\r\n", `a=mid:video\r\na=extmap:${id} ${delayUri}\r\n`);
const delay = { playoutDelay: { minMs: 100, maxMs: 2_000 } };

test("WHEP: a configured playout delay is answered under the viewer's number, and stands in every picture's packets", async (t) => {
  const { url, hub, port } = await node(t, { config: delay });
  const response = await post(`${url}/app/stream/whep`, withDelay(offer, 7));
  const answered = await response.text();
  assert.ok(answered.includes(`a=extmap:7 ${delayUri}`), answered);
  const [peer] = port.peers;
  peer!.connect();
  for (const sample of [videoSample(0, { isKeyframe: true }), opusSample(0)]) hub.source.push(sample);
  const extensions = (type: number): string[] =>
    peer!.of(type).map(({ extension }) => Buffer.from(extension ?? []).toString("hex"));
  assert.ok(peer!.of(108).length > 0 && peer!.of(111).length > 0);
  assert.deepEqual([...new Set(extensions(108))], ["bede00017200a0c8"]);
  assert.deepEqual([...new Set(extensions(111))], [""]);
});

test("WHEP: who does not know the playout delay, or is not asked for one, gets none", async (t) => {
  const asked = await node(t, { config: delay });
  const unasked = await node(t);
  for (const [{ url, hub, port }, text] of [
    [asked, offer],
    [unasked, withDelay(offer, 7)],
  ] as const) {
    const response = await post(`${url}/app/stream/whep`, text);
    assert.doesNotMatch(await response.text(), /extmap:/);
    port.peers[0]!.connect();
    hub.source.push(videoSample(0, { isKeyframe: true }));
    assert.ok(port.peers[0]!.packets.length > 0);
    assert.ok(port.peers[0]!.packets.every(({ extension }) => extension === undefined));
  }
});

test("signalling: a configured playout delay is offered, and sent to a player that takes it", async (t) => {
  const { url, hub, port } = await node(t, { config: delay });
  for (const [index, isTaken] of [true, false].entries()) {
    const player = new Player(`${url}/app/stream`);
    await player.send({ command: "request_offer" });
    const offered = (await player.message(0)) as unknown as { id: number; sdp: { sdp: string } };
    assert.ok(offered.sdp.sdp.includes(`a=extmap:2 ${delayUri}`));
    const sdp = isTaken ? withDelay(answer, 2) : answer;
    await player.send({ id: offered.id, peer_id: 0, command: "answer", sdp: { type: "answer", sdp } });
    await player.message(2);
    port.peers[index]!.connect();
    hub.source.push(videoSample(index, { isKeyframe: true }));
    const [packet] = port.peers[index]!.of(98);
    assert.equal(packet?.extension?.length, isTaken ? 8 : undefined);
    player.socket.close();
  }
});

test("WHEP: the direction form works too, with a playlist that must exist", async (t) => {
  const { url } = await node(t);
  assert.equal((await post(`${url}/app/live?direction=whep`)).status, 201);
  assert.equal((await post(`${url}/app/live/webrtc_default?direction=whep`)).status, 201);
  assert.equal((await post(`${url}/app/live/other?direction=whep`)).status, 422);
});

test("WHEP: a stream without pictures is heard; the offered picture is declined outside the bundle", async (t) => {
  const { url, hub, port } = await node(t, { description: descriptionOf([opusTrack]) });
  const text = await (await post(`${url}/app/live/whep`)).text();
  assert.match(text, /a=group:BUNDLE audio\r\n/);
  assert.match(text, /m=video 0 UDP\/TLS\/RTP\/SAVPF 108 109\r\n/);
  port.peers[0]!.connect();
  hub.source.push(opusSample(0));
  assert.equal(port.peers[0]!.of(111).length, 1);
});

test("WHEP: preflight, health check and wrong methods carry CORS headers", async (t) => {
  const { url } = await node(t);
  const preflight = await fetch(`${url}/app/live/whep`, { method: "OPTIONS" });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("accept-post"), "application/sdp");
  assert.match(preflight.headers.get("access-control-allow-methods")!, /PATCH/);
  assert.match(preflight.headers.get("access-control-allow-headers")!, /If-Match/);
  for (const [method, status] of [
    ["GET", 204],
    ["HEAD", 204],
    ["PUT", 405],
    ["DELETE", 405],
  ] as const) {
    const response = await fetch(`${url}/app/live/whep`, { method });
    assert.equal(response.status, status, method);
    assert.equal(response.headers.get("access-control-allow-origin"), "*");
  }
});

test("WHEP: bad requests are told apart", async (t) => {
  const { url, port } = await node(t);
  const endpoint = `${url}/app/live/whep`;
  const rows: [number, string, Record<string, string>?][] = [
    [415, offer, { "Content-Type": "text/plain" }],
    [406, offer, { Accept: "application/json, application/sdp;q=0" }],
    [400, "hello"],
    [400, offer.replaceAll("a=fingerprint", "a=x")],
    [400, offer.replace("setup:actpass", "setup:passive")],
    [413, "v=0\r\n".padEnd(70_000, "x")],
    [422, offer.replace("H264", "AV1X").replace("opus", "speex")],
  ];
  for (const [status, body, headers] of rows) {
    const response = await post(endpoint, body, headers);
    assert.equal(response.status, status);
    assert.equal(response.headers.get("access-control-allow-origin"), "*");
  }
  assert.equal((await post(`${url}/app/never/whep`)).status, 404);
  assert.ok(port.peers.every(({ state }) => state !== "connected"));
  for (const Accept of ["application/sdp", "text/html, */*;q=0.1", "Application/*"]) {
    assert.equal((await post(endpoint, offer, { Accept })).status, 201, Accept);
  }
});

test("WHEP: PATCH takes candidates for the right ETag only", async (t) => {
  const { url } = await node(t);
  const created = await post(`${url}/app/live/whep`);
  const location = created.headers.get("location")!;
  const etag = created.headers.get("etag")!;
  const patch = (headers: Record<string, string>, target = location): Promise<number> =>
    fetch(target, {
      method: "PATCH",
      body: "a=ice-ufrag:x\r\n",
      headers: { "Content-Type": "application/trickle-ice-sdpfrag", ...headers },
    }).then(({ status }) => status);
  assert.equal(await patch({ "If-Match": etag }), 204);
  assert.equal(await patch({}), 428);
  assert.equal(await patch({ "If-Match": '"other"' }), 412);
  assert.equal(await patch({ "If-Match": "*" }), 422);
  assert.equal(await patch({ "If-Match": etag, "Content-Type": "text/plain" }), 415);
  assert.equal(await patch({ "If-Match": etag }, `${url}/app/live/whep-unknown`), 404);
});

test("WHEP: a stream that is coming is held for, then 409 with Retry-After", async (t) => {
  const { url, hub } = await node(t);
  const held = post(`${url}/app/later/whep`);
  await until(() => hub.clock.pendingTimers > 2);
  hub.isLaterThere = true;
  for (let i = 0; i < 4; i++) {
    hub.clock.advance(500);
    await settle();
  }
  assert.equal((await held).status, 201);
  hub.isLaterThere = false;
  const refused = post(`${url}/app2/later/whep`);
  const answered = { status: 0 };
  void refused.then(({ status }) => (answered.status = status));
  await until(() => {
    hub.clock.advance(500);
    return answered.status !== 0;
  });
  assert.equal((await refused).status, 409);
  assert.equal((await refused).headers.get("retry-after"), "2");
});

test("WHEP: a full or draining node says 503 with Retry-After; draining ends its sessions", async (t) => {
  const { url, guest, port } = await node(t, { config: { maxSessions: 1 } });
  assert.equal((await post(`${url}/app/live/whep`)).status, 201);
  const full = await post(`${url}/app/live/whep`);
  assert.equal(full.status, 503);
  assert.ok(full.headers.has("retry-after"));
  port.peers[0]!.connect();
  guest.drain(0);
  assert.equal(port.peers[0]!.state, "closed");
  assert.equal((await post(`${url}/app/live/whep`)).status, 503);
  assert.equal(guest.stats.ended.drain, 1);
});

/** As a crowd from this machine does: nobody else finds room to wait for a turn. */
async function crowd({ joins }: Node): Promise<AbortController> {
  const controller = new AbortController();
  for (let i = 0; i < 600; i++) void joins.turn("127.0.0.1", controller.signal);
  await settle();
  return controller;
}

test("WHEP: who comes in too large a crowd is told to come again, 503 with Retry-After", async (t) => {
  const one = await node(t);
  const others = await crowd(one);
  const refused = await post(`${one.url}/app/live/whep`);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("retry-after"), "2");
  assert.deepEqual([one.port.peers.length, one.hub.viewers], [0, {}]);
  others.abort();
  one.hub.clock.advance(100);
  assert.equal((await post(`${one.url}/app/live/whep`)).status, 201);
});

test("signalling: in a crowd an offer comes later; a player is not refused", async (t) => {
  const one = await node(t);
  await crowd(one);
  const player = new Player(`${one.url}/app/live`);
  await player.send({ command: "request_offer" });
  await until(() => one.hub.viewers["webrtc"] === 1);
  await settle();
  assert.equal(player.messages.length, 0);
  // Two seconds of turns, and one look in between.
  for (let i = 0; i < 400 && player.messages.length === 0; i++) {
    one.hub.clock.advance(5);
    await settle();
  }
  await player.message(0);
  assert.equal(player.messages[0]!.command, "offer");
  const gone = new Player(`${one.url}/app/live`);
  await crowd(one);
  await gone.send({ command: "request_offer" });
  await until(() => one.hub.viewers["webrtc"] === 2);
  gone.socket.close();
  await until(() => one.hub.viewers["webrtc"] === 1);
  player.socket.close();
});

test("WHEP: who knows the session's URL may end it, whoever may watch by then", async (t) => {
  let isAdmitted = true;
  const { url, guest } = await node(t, {
    admit: async () => (isAdmitted ? { isAdmitted } : { isAdmitted, status: 403, reason: "no more" }),
  });
  const location = (await post(`${url}/app/live/whep`)).headers.get("location")!;
  isAdmitted = false;
  assert.equal((await post(`${url}/app/live/whep`)).status, 403);
  assert.equal((await fetch(location, { method: "DELETE" })).status, 200);
  assert.equal(guest.stats.sessions, 0);
});

test("WHEP: who is not admitted learns how to ask", async (t) => {
  const { url, hub } = await node(t, {
    admit: () => Promise.resolve({ isAdmitted: false, status: 401, reason: "no ticket" }),
  });
  const response = await post(`${url}/app/live/whep`);
  assert.equal(response.status, 401);
  assert.equal(response.headers.get("www-authenticate"), "Bearer");
  const withToken = await post(`${url}/app/live/whep?token=x`);
  assert.equal(withToken.headers.get("www-authenticate"), null);
  assert.deepEqual(hub.viewers, {});
});

test("signalling: offer, answer, playlist, rendition; media flows; closing the socket ends the session", async (t) => {
  const { url, hub, port, guest } = await node(t);
  const player = new Player(`${url}/app/live`);
  const id = await player.play();
  const [offered, playlist, rendition] = player.messages;
  assert.equal(offered!.code, 200);
  assert.equal(offered!.peer_id, 0);
  assert.ok(id > 0 && id < 2 ** 31);
  assert.ok(!("ice_servers" in offered!) && !("iceServers" in offered!));
  assert.deepEqual(offered!.candidates![0], {
    candidate: "candidate:1 1 UDP 2130706431 192.0.2.1 10000 typ host",
    sdpMLineIndex: 0,
    sdpMid: "video",
  });
  assert.equal(playlist!.type, "playlist");
  assert.ok("bitrate" in playlist!.message!.renditions![0]!.video_track.video);
  assert.deepEqual(rendition!.message, { rendition_name: "default", auto: false });
  const peer = port.peers[0]!;
  assert.deepEqual([peer.remote.iceUfrag, peer.remote.icePwd], ["answ", "lkjihgfedcba9876543210"]);
  peer.connect();
  hub.source.push(videoSample(0, { isKeyframe: true }), opusSample(0));
  assert.equal(peer.of(98).length, 2);
  assert.equal(peer.of(110).length, 1);
  assert.equal(hub.viewers.webrtc, 1);
  player.socket.close();
  await until(() => guest.stats.sessions === 0);
  assert.equal(peer.state, "closed");
  assert.equal(hub.viewers.webrtc, undefined);
});

test("signalling: transport=tcp gets only the TCP candidate, any other word both, UDP first", async (t) => {
  const { url } = await node(t);
  for (const [transport, expected] of [
    ["tcp", ["TCP"]],
    ["TCP", ["TCP"]],
    ["udp", ["UDP", "TCP"]],
    ["all", ["UDP", "TCP"]],
    ["udptcp", ["UDP", "TCP"]],
    ["pigeon", ["UDP", "TCP"]],
  ] as const) {
    const player = new Player(`${url}/app/live?transport=${transport}`);
    await player.send({ command: "request_offer" });
    const { candidates } = await player.message(0);
    assert.deepEqual(
      candidates!.map(({ candidate }) => candidate.split(" ")[2]),
      expected,
    );
    player.socket.close();
  }
});

const relays = [
  {
    urls: ["turn:turn.example.com:3478", "turns:turn.example.com:443?transport=tcp"],
    username: "u",
    credential: 'p"\\',
  },
  { urls: ["stun:stun.example.com:3478"] },
];

test("WHEP: configured ICE servers stand in Link, a line each; who is refused is not told the password", async (t) => {
  const { url } = await node(t, { config: { iceServers: relays } });
  const response = await post(`${url}/app/live/whep`);
  assert.equal(response.status, 201);
  const user = String.raw`; rel="ice-server"; username="u"; credential="p\"\\"; credential-type="password"`;
  assert.equal(
    response.headers.get("link"),
    `<turn:turn.example.com:3478>${user}, <turns:turn.example.com:443?transport=tcp>${user}, ` +
      '<stun:stun.example.com:3478>; rel="ice-server"',
  );
  assert.match(response.headers.get("access-control-expose-headers")!, /\bLink\b/);
  for (const refused of [
    await fetch(`${url}/app/live/whep`, { method: "OPTIONS" }),
    await post(`${url}/app/live/whep`, "not a description"),
    await post(`${url}/app/never-was/whep?playlist=x`, offer, { Accept: "text/plain" }),
  ]) {
    assert.notEqual(refused.status, 201);
    assert.equal(refused.headers.get("link"), null);
  }
});

test("signalling: configured ICE servers are named in both spellings to who asks for a relay, with candidates a relay reaches", async (t) => {
  const { url } = await node(t, { config: { iceServers: relays } });
  for (const [transport, isTold] of [
    ["tcp", true],
    ["ALL", true],
    ["udp", false],
    ["", false],
  ] as const) {
    const player = new Player(`${url}/app/live?transport=${transport}`);
    await player.send({ command: "request_offer" });
    const offered = await player.message(0);
    assert.deepEqual(
      offered.candidates!.map(({ candidate }) => candidate.split(" ")[2]),
      ["UDP", "TCP"],
    );
    assert.deepEqual(offered.iceServers, isTold ? relays : undefined);
    const [{ urls, username, credential }, stun] = relays as [(typeof relays)[0], (typeof relays)[1]];
    assert.deepEqual(offered.ice_servers, isTold ? [{ urls, user_name: username, credential }, stun] : undefined);
    player.socket.close();
  }
});

/** Two renditions that differ in their picture. */
const ladder: StreamDescription = {
  ...descriptionOf([videoTrack, opusTrack, { ...videoTrack, id: 2, name: "small", bitrate: 300_000 }]),
  playlists: [
    {
      name: "all",
      fileName: "all",
      webrtcAutoAbr: true,
      hlsChunklistPathDepth: -1,
      enableTsPackaging: false,
      renditions: [videoTrack.name, "small"].map((videoTrackName) => ({
        name: videoTrackName,
        videoTrackName,
        audioTrackName: opusTrack.name,
        videoIndexHint: -1,
        audioIndexHint: -1,
      })),
    },
  ],
};

test("signalling: auto is answered at once, another rendition with its key frame, an unknown one is forbidden", async (t) => {
  const { url, hub, port, guest } = await node(t, { description: ladder });
  const player = new Player(`${url}/app/live/all`);
  const id = await player.play();
  assert.deepEqual(player.messages[2]!.message, { rendition_name: videoTrack.name, auto: true });
  const [peer] = port.peers;
  peer!.connect();
  hub.source.push(videoSample(0, { isKeyframe: true }));
  const change = (wanted: object): Promise<void> => player.send({ command: "change_rendition", id, ...wanted });
  await change({ auto: false });
  assert.deepEqual((await player.message(3)).message, { rendition_name: videoTrack.name, auto: false });
  await change({ rendition_name: "small" });
  await settle();
  hub.source.push(videoSample(1, { isKeyframe: false }), { ...videoSample(1, { isKeyframe: false }), trackId: 2 });
  await settle();
  assert.equal(player.messages.length, 4, "not before it really happened");
  hub.source.push({ ...videoSample(2, { isKeyframe: true }), trackId: 2 });
  assert.deepEqual((await player.message(4)).message, { rendition_name: "small", auto: false });
  await change({ rendition_name: "huge" });
  assert.deepEqual(await player.message(5), { code: 403, error: "Forbidden" });
  await until(() => player.closeCode === 1008 && guest.stats.sessions === 0);
});

test("signalling: B-frames are named as the reason why there is no offer", async (t) => {
  // Its pictures alone tell.
  const { decoderConfig: _, ...bare } = videoTrack;
  const { url, hub, logger } = await node(t, { description: descriptionOf([bare]) });
  await hub.hub.acquire({ vhost: "default", app: "app", stream: "live" }, { protocol: "prewarm" });
  const shownLater = (frame: number, by: number) => {
    const sample = videoSample(frame, { isKeyframe: frame === 0 });
    return { ...sample, pts: sample.pts + by };
  };
  for (const [frame, by] of [0, 9_000, -3_000, -3_000].entries()) hub.source.push(shownLater(frame, by));
  const player = new Player(`${url}/app/live`);
  await player.send({ command: "request_offer" });
  const { code, error } = await player.message(0);
  assert.equal(code, 404);
  assert.match(String(error), /^Cannot create offer: its B-frames would arrive out of order/);
  const refused = await post(`${url}/app/live/whep`);
  assert.equal(refused.status, 422);
  assert.match(await refused.text(), /encode without B-frames/);
  assert.equal(logger.lines.filter(({ event }) => event === "track withheld from WebRTC").length, 1);
});

test("signalling: who wants to send media is not answered here", async (t) => {
  const { url, guest } = await node(t);
  const socket = new WebSocket(`${url.replace("http", "ws")}/app/live?direction=send`);
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("close", resolve));
  assert.equal(guest.stats.sockets, 0);
});

test("signalling: no such stream, playlist or id is told as recorded, with a close code", async (t) => {
  const { url } = await node(t);
  for (const [path, message, error, code] of [
    ["/app/never", { command: "request_offer" }, { code: 404, error: "Cannot create offer" }, 4404],
    ["/app/live", { command: "bogus" }, { code: 400, error: "Invalid ID" }, 1008],
    [
      "/app/live",
      { command: "answer", id: 5, sdp: { type: "answer", sdp: "v=0" } },
      { code: 400, error: "Invalid ID" },
      1008,
    ],
  ] as const) {
    const player = new Player(`${url}${path}`);
    await player.send(message);
    assert.deepEqual(await player.message(0), error);
    await until(() => player.closeCode === code);
  }
  const player = new Player(`${url}/app/live/other`);
  await player.send({ command: "request_offer" });
  assert.match(String((await player.message(0)).error), /^Cannot create offer/);
});

test("signalling: an answer that takes nothing is forbidden; unreadable SDP is a bad message", async (t) => {
  const { url, guest } = await node(t);
  for (const [text, error] of [
    [answer.replaceAll("=recvonly", "=inactive"), { code: 403, error: "Forbidden" }],
    ["v=0", { code: 400, error: "Could not parse SDP" }],
  ] as const) {
    const player = new Player(`${url}/app/live`);
    await player.send({ command: "request_offer" });
    const { id } = await player.message(0);
    await player.send({ id, command: "answer", sdp: { type: "answer", sdp: text } });
    assert.deepEqual(await player.message(1), error);
    await until(() => guest.stats.sessions === 0);
  }
});

test("signalling: stop from the player ends with 1000; requesting again replaces the session", async (t) => {
  const { url, guest, port } = await node(t);
  const player = new Player(`${url}/app/live`);
  const first = await player.play();
  await player.send({ command: "request_offer" });
  const again = await player.message(3);
  assert.equal(again.command, "offer");
  assert.notEqual(again.id, first);
  assert.equal(port.peers[0]!.state, "closed");
  assert.equal(guest.stats.sessions, 1);
  await player.send({ command: "candidate", id: first, candidates: [] });
  await player.send({ command: "stop", id: again.id });
  await until(() => player.closeCode === 1000);
  assert.equal(guest.stats.sessions, 0);
});

test("signalling: drain sends stop, and a request after it closes the socket with 1012", async (t) => {
  const { url, guest } = await node(t);
  const player = new Player(`${url}/app/live`);
  const id = await player.play();
  guest.drain(0);
  assert.deepEqual(await player.message(3), { command: "stop", id, peer_id: 0 });
  assert.equal(guest.stats.sessions, 0);
  await player.send({ command: "request_offer" });
  await until(() => player.closeCode === 1012);
});

test("signalling: silence is ended: no request in 10 s, no answer in 15 s, no sign of life in 60 s", async (t) => {
  const { url, hub, guest } = await node(t);
  const silent = new Player(`${url}/app/live`);
  await until(() => guest.stats.sockets === 1);
  hub.clock.advance(10_000);
  await until(() => silent.closeCode === 1008);
  const unanswering = new Player(`${url}/app/live`);
  await unanswering.send({ command: "request_offer" });
  await unanswering.message(0);
  hub.clock.advance(15_000);
  await until(() => unanswering.closeCode === 1008);
  await until(() => guest.stats.sessions === 0);
  const dead = new Player(`${url}/app/live`, { autoPong: false });
  const alive = new Player(`${url}/app/live`);
  await Promise.all([dead.play(), alive.play()]);
  let pings = 0;
  alive.socket.on("ping", () => pings++);
  for (let second = 0; second < 80; second += 20) {
    hub.clock.advance(20_000);
    await settle();
    await until(() => pings > second / 20);
    await settle();
  }
  await until(() => dead.closeCode === 1006);
  assert.deepEqual([alive.closeCode, guest.stats.sessions], [undefined, 1]);
});

test("signalling: a player that leaves while it is held leaves nothing behind", async (t) => {
  const { url, hub, guest } = await node(t);
  const player = new Player(`${url}/app/later`);
  await player.send({ command: "request_offer" });
  await until(() => hub.clock.pendingTimers > 2);
  player.socket.close();
  await until(() => guest.stats.sockets === 0);
  hub.isLaterThere = true;
  hub.clock.advance(10_000);
  await settle();
  assert.equal(guest.stats.sessions, 0);
  assert.equal(
    hub.hub.list().every(({ viewers }) => viewers.webrtc === undefined),
    true,
  );
});

test("signalling: a flood of messages ends the socket", async (t) => {
  const { url } = await node(t);
  const player = new Player(`${url}/app/live`);
  for (let i = 0; i < 250; i++) await player.send({ command: "pong" });
  assert.deepEqual(await player.message(0), { code: 400, error: "Too many messages" });
  await until(() => player.closeCode === 1008);
});

test("signalling: messages over 64 KiB end the socket; who is not admitted gets no socket", async (t) => {
  const { url } = await node(t);
  const player = new Player(`${url}/app/live`);
  await player.send("x".repeat(65 * 1024));
  await until(() => player.closeCode === 1009);
  const guarded = await node(t, {
    admit: () => Promise.resolve({ isAdmitted: false, status: 403, reason: "expired" }),
  });
  const refused = new WebSocket(guarded.url.replace("http", "ws") + "/app/live");
  refused.on("error", () => {});
  const [, response] = await once(refused, "unexpected-response");
  assert.ok(response instanceof IncomingMessage);
  assert.equal(response.statusCode, 403);
  refused.terminate();
});

/** Admits for five seconds of the room's clock, and counts who is gone. */
function fiveSeconds(now: () => number) {
  const ends: number[] = [];
  const admit: AdmitViewer = async () => ({
    isAdmitted: true,
    endsAtMs: now() + 5_000,
    onEnd: () => void ends.push(now()),
  });
  return { admit, ends };
}

test("signalling: a session ends when the viewer's policy does", async (t) => {
  let now = (): number => 0;
  const { admit, ends } = fiveSeconds(() => now());
  const { url, hub, guest } = await node(t, { admit });
  now = () => hub.clock.wallMs();
  const player = new Player(`${url}/app/live`);
  await player.play();
  hub.clock.advance(4_000);
  assert.equal(guest.stats.sessions, 1);
  hub.clock.advance(2_000);
  await until(() => player.closeCode === 1008);
  assert.deepEqual(player.messages.at(-1), { code: 401, error: "The time to watch is over" });
  assert.equal(guest.stats.sessions, 0);
  assert.equal(guest.stats.ended.expired, 1);
  await until(() => ends.length > 0);
});

test("WHEP: a session ends when the viewer's policy does; who is admitted and gets nothing is told of, too", async (t) => {
  let now = (): number => 0;
  const { admit, ends } = fiveSeconds(() => now());
  const { url, hub, guest } = await node(t, { admit });
  now = () => hub.clock.wallMs();
  assert.equal((await post(`${url}/app/live/whep`)).status, 201);
  hub.clock.advance(6_000);
  assert.deepEqual([guest.stats.sessions, guest.stats.ended.expired], [0, 1]);
  assert.equal(ends.length, 1);
  assert.equal((await post(`${url}/app/live/no-such-list?direction=whep`)).status, 422);
  assert.equal(ends.length, 2);
});

test("what the control server puts in place of the stream is played; WHEP's session keeps the URL it was asked under", async (t) => {
  const admit: AdmitViewer = async (target) => ({
    isAdmitted: true,
    target: { ...target, app: "app", stream: "live" },
  });
  const { url, hub } = await node(t, { admit });
  const response = await post(`${url}/public/name/whep`);
  assert.equal(response.status, 201);
  assert.match(response.headers.get("location") ?? "", /\/public\/name\/whep-/);
  await new Player(`${url}/public/name`).play();
  assert.deepEqual(hub.viewers, { whep: 1, webrtc: 1 });
});
