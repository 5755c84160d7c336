import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { descriptionOf, opusTrack, videoSample, videoTrack } from "../../../test/support/synthetic-stream.ts";
import { TestHub } from "../../../test/support/webrtc-room.ts";
import { parseServerXml } from "../../config/parse-server-xml.ts";
import type { ServerConfig } from "../../config/server-config.ts";
import { StatisticsBook } from "../../core/statistics-book.ts";
import type { StreamRequest } from "../../core/stream-hub.ts";
import type { Track } from "../../core/track.ts";
import { silentLogger } from "../../flow/logger.ts";
import { listenForApi } from "./api-server.ts";
import { RestApi } from "./rest-api.ts";

const token = "ome-access-token";
const authorization = `Basic ${Buffer.from(token).toString("base64")}`;

function configOf(): ServerConfig {
  const parsed = parseServerXml(
    `<?xml version="1.0"?><Server version="8"><Name>n</Name><Type>edge</Type><IP>*</IP><Bind></Bind><VirtualHosts><VirtualHost>
     <Name>default</Name><Host><Names><Name>*</Name></Names></Host>
     <Origins><Origin><Location>/app/</Location><Pass><Scheme>ovt</Scheme><Urls><Url>user:geheim@origin:9000/app/</Url></Urls></Pass></Origin></Origins>
     <OriginMapStore><RedisServer><Host>redis:6379</Host><Auth>geheim</Auth></RedisServer><OriginHostName>o.example.com</OriginHostName></OriginMapStore>
     <SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName><SignatureQueryKeyName>signature</SignatureQueryKeyName><SecretKey>geheim</SecretKey></SignedPolicy>
     <Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT /></Providers><Publishers><OVT /><WebRTC /><LLHLS /></Publishers></Application>
     <Application><Name>*</Name><Type>live</Type><Providers><OVT /></Providers><Publishers><LLHLS /></Publishers></Application></Applications>
     </VirtualHost></VirtualHosts></Server>`,
    { path: "Server.xml", env: {} },
  );
  return parsed.config!;
}

const subtitleTrack: Track = {
  id: 1_000,
  kind: "subtitle",
  codec: "webvtt",
  name: "subtitle",
  timescale: 1_000,
  bitrate: 0,
  subtitle: { label: "English", isDefault: false, isAutoSelect: false, isForced: false },
};

interface Envelope {
  readonly statusCode: number;
  readonly message: string;
  readonly response?: unknown;
}

async function node(t: TestContext) {
  const room = new TestHub(descriptionOf([videoTrack, opusTrack, subtitleTrack]));
  const book = new StatisticsBook(room.hub, room.clock);
  const reloads: string[] = [];
  const problems: string[] = [];
  const config = configOf();
  const api = new RestApi({
    configNow: () => config,
    hub: room.hub,
    book,
    clock: room.clock,
    logger: silentLogger,
    version: "1.2.3",
    reloadCertificates: () => (reloads.push("viewers"), problems),
    reloadApiCertificate: async () => (reloads.push("api"), problems),
  });
  const server = await listenForApi({ api, port: 0, address: "127.0.0.1", accessToken: () => token });
  t.after(async () => {
    book.close();
    await room.hub.close({ code: "shutdown" });
    await server.close();
  });
  const ask = async (method: string, path: string, body?: unknown): Promise<Envelope> => {
    const answer = await fetch(`http://127.0.0.1:${server.port}/v1${path}`, {
      method,
      headers: { authorization },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const envelope = (await answer.json()) as Envelope;
    assert.equal(answer.status, envelope.statusCode, "the status is that of the envelope");
    return envelope;
  };
  const watch = async (stream: string, app = "app", protocol: StreamRequest["protocol"] = "whep") => {
    const result = await room.hub.acquire({ vhost: "default", app, stream }, { protocol });
    assert.equal(result.kind, "stream");
    return result.kind === "stream" ? result.hold : assert.fail();
  };
  return { room, book, api, ask, watch, reloads, problems, url: `http://127.0.0.1:${server.port}` };
}

const streams = "/vhosts/default/apps/app/streams";

test("without the token nothing is told, not even which paths there are", async (t) => {
  const { url } = await node(t);
  for (const path of ["/v1/version", "/v1/nothing", "/"]) {
    for (const given of [undefined, "Basic !!!", `Bearer x`, `Basic ${Buffer.from("x").toString("base64")}`]) {
      const answer = await fetch(`${url}${path}`, given === undefined ? {} : { headers: { authorization: given } });
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get("www-authenticate"), 'Basic realm="OvenMediaEngine"');
      const why = given === undefined ? "Authorization header is required to call API" : "Invalid credential";
      assert.deepEqual(await answer.json(), { statusCode: 401, message: `[HTTP] ${why} (401)` });
    }
  }
});

test("lists virtual hosts and applications; what Server.xml declares is read-only", async (t) => {
  const { ask, watch } = await node(t);
  assert.deepEqual(await ask("GET", "/version"), {
    statusCode: 200,
    message: "OK",
    response: { version: "1.2.3", gitVersion: "v1.2.3", server: "Hearth" },
  });
  assert.deepEqual((await ask("GET", "/vhosts")).response, ["default"]);
  assert.deepEqual((await ask("GET", "/vhosts/default/apps")).response, ["app"]);
  const app = (await ask("GET", "/vhosts/default/apps/app")).response as Record<string, unknown>;
  assert.deepEqual(
    [app["name"], app["dynamic"], Object.keys(app["publishers"] as object)],
    ["app", false, ["ovt", "webrtc", "llhls"]],
  );
  for (const [method, path, message] of [
    ["DELETE", "/vhosts/default", "[HTTP] The VirtualHost is read-only: [default] (403)"],
    ["PATCH", "/vhosts/default/apps/app", "[HTTP] The Application is read-only: [app] (403)"],
    ["POST", "/vhosts/default/apps", "[HTTP] The VirtualHost is read-only: [default] (403)"],
    ["GET", "/vhosts/zz", "[HTTP] Could not find the virtual host: [zz] (404)"],
    ["GET", "/nothing", "[HTTP] Controller not found (404)"],
    ["GET", "/vhosts/default/things", "[HTTP] Controller not found (404)"],
    ["GET", "/vhosts/%zz", "[HTTP] Controller not found (404)"],
  ] as const) {
    assert.equal((await ask(method, path)).message, message);
  }
  await watch("live", "made");
  const made = (await ask("GET", "/vhosts/default/apps/made")).response as Record<string, unknown>;
  assert.equal(made["dynamic"], true);
  assert.equal((await ask("DELETE", "/vhosts/default/apps/made")).statusCode, 200);
  assert.equal((await ask("GET", "/vhosts/default/apps/made")).statusCode, 404);
});

test("pages that CrossDomains names may call it, and ask without the token whether they may", async (t) => {
  const { api } = await node(t);
  const crossDomains = () => ({ urls: ["https://board.example.com"], headers: [] });
  const server = await listenForApi({ api, port: 0, address: "127.0.0.1", accessToken: () => token, crossDomains });
  t.after(() => server.close());
  const ask = (method: string, origin: string, headers = {}) =>
    fetch(`http://127.0.0.1:${server.port}/v1/version`, { method, headers: { origin, ...headers } });
  const preflight = await ask("OPTIONS", "https://board.example.com", {
    "access-control-request-headers": "authorization",
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-headers"), "authorization");
  assert.match(preflight.headers.get("access-control-allow-methods")!, /GET, HEAD, POST, PATCH, DELETE/);
  const allowed = await ask("GET", "https://board.example.com", { authorization });
  assert.equal(allowed.status, 200);
  assert.equal(allowed.headers.get("access-control-allow-origin"), "https://board.example.com");
  const other = await ask("GET", "https://other.example.com", { authorization });
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  assert.equal(other.headers.get("vary"), "Origin");
  assert.equal((await ask("GET", "https://board.example.com")).status, 401);
});

test("no secret of the configuration is shown", async (t) => {
  const { ask } = await node(t);
  const { response } = await ask("GET", "/vhosts/default");
  assert.doesNotMatch(JSON.stringify(response), /geheim/);
  const { originMapStore, origins } = response as Record<string, unknown>;
  assert.deepEqual(originMapStore, { redisServer: { host: "redis:6379" }, originHostName: "o.example.com" });
  assert.match(JSON.stringify(origins), /"pass":\{"scheme":"ovt","urls":\{"url":\["[^"]*origin:9000\/app\/"\]\}/);
});

test("shows a stream with its tracks under OvenMediaEngine's names, and DELETE ends it, whoever feeds it", async (t) => {
  const { ask, watch } = await node(t);
  const hold = await watch("live");
  assert.deepEqual((await ask("GET", streams)).response, ["live"]);
  const shown = (await ask("GET", `${streams}/live`)).response as {
    input: { sourceUrl: string; createdTime: string; tracks: { type: string; video?: Record<string, unknown> }[] };
    outputs: { name: string; tracks: unknown[]; playlists: { fileName: string; renditions: object[] }[] }[];
  };
  assert.equal(shown.input.sourceUrl, "test://live");
  assert.match(shown.input.createdTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/);
  const [output, ...others] = shown.outputs;
  assert.deepEqual([output!.name, others, output!.tracks], ["live", [], shown.input.tracks]);
  assert.deepEqual(
    output!.playlists.map(({ fileName, renditions }) => [fileName, renditions]),
    ["llhls", "webrtc_default"].map((fileName) => [
      fileName,
      [{ name: "default", videoVariantName: "bypass_video", audioVariantName: "bypass_audio" }],
    ]),
  );
  const video = shown.input.tracks.find(({ type }) => type === "Video")!.video!;
  for (const name of [
    "codec",
    "width",
    "height",
    "framerateLatest",
    "bitrateLatest",
    "keyFrameIntervalLatest",
    "hasBframes",
    "maxWidth",
    "timebase",
  ])
    assert.ok(name in video, name);
  assert.equal((await ask("DELETE", `${streams}/live`)).statusCode, 200);
  assert.ok(hold.stream.isClosed);
  assert.equal((await ask("DELETE", `${streams}/live`)).statusCode, 404);
  assert.deepEqual((await ask("GET", streams)).response, []);
});

test("pulls what it is told to, and says what is wrong with what it cannot", async (t) => {
  const { ask, room } = await node(t);
  const post = (body: unknown, path = streams) => ask("POST", path, body);
  for (const body of [
    "{",
    [],
    {},
    { name: "x" },
    { name: "x", urls: [] },
    { name: "x", urls: [1] },
    { name: "a/b", urls: ["rtsp://c"] },
  ])
    assert.equal((await post(body)).statusCode, 400, JSON.stringify(body));
  assert.equal((await post({ name: "x", urls: ["rtsp://c/1"], properties: { retryCount: "2" } })).statusCode, 400);
  assert.equal((await post({ name: "x", urls: ["rtsp://c/1"] }, "/vhosts/default/apps/none/streams")).statusCode, 404);
  for (const url of ["file:///etc/passwd", "http://c/1", "rtsp:///", "rtsp://c /"])
    assert.equal((await post({ name: "x", urls: [url] })).statusCode, 502, url);
  assert.deepEqual((await ask("GET", streams)).response, []);
  assert.equal(
    (await post({ name: "cam", urls: ["rtsp://u:geheim@c/1"] })).statusCode,
    502,
    "nothing speaks rtsp here",
  );
  assert.doesNotMatch(JSON.stringify(await post({ name: "cam", urls: ["rtsp://u:geheim@c/1"] })), /geheim/);
  room.openers.set("rtsp", room.openers.get("test")!);
  const body = { name: "cam", urls: ["rtsp://u:geheim@c/1"], properties: { persistent: true, retryCount: 2 } };
  assert.equal((await post(body)).statusCode, 201);
  assert.equal((await post(body)).statusCode, 409);
  assert.equal(room.hub.look({ vhost: "default", app: "app", stream: "cam" })?.pull?.plan.isPersistent, true);
  assert.doesNotMatch(JSON.stringify(await ask("GET", `${streams}/cam`)), /geheim/);
});

test("lists viewers, and sends one of them away", async (t) => {
  const { ask, watch } = await node(t);
  const hold = await watch("live");
  const ended: string[] = [];
  hold.holders = () =>
    ["a", "b"].map((id) => ({
      id,
      address: "192.0.2.1",
      sinceMs: 0,
      end: ({ code }) => void ended.push(`${id} ${code}`),
    }));
  const viewers = (await ask("GET", `${streams}/live/viewers`)).response as { id: string; protocol: string }[];
  assert.deepEqual(
    viewers.map(({ id, protocol }) => [id, protocol]),
    [
      ["a", "whep"],
      ["b", "whep"],
    ],
  );
  assert.equal((await ask("DELETE", `${streams}/live/viewers/b`)).statusCode, 200);
  assert.deepEqual(ended, ["b kicked"]);
  assert.equal((await ask("DELETE", `${streams}/live/viewers/c`)).statusCode, 404);
});

test("counts bytes and connections of the stream, its application, its virtual host and the node", async (t) => {
  const { ask, watch, room } = await node(t);
  const hold = await watch("live");
  hold.sentBytes = () => 5_000;
  const hls = await watch("live", "app", "hls");
  room.clock.advance(1_000);
  for (const scope of ["", "/vhosts/default", "/vhosts/default/apps/app", `${streams}/live`]) {
    const figures = (await ask("GET", `/stats/current${scope}`)).response as Record<string, unknown>;
    assert.equal(figures["totalBytesOut"], 5_000, scope);
    assert.equal(figures["lastThroughputOut"], 5_000, scope);
    assert.equal(figures["maxThroughputOut"], 40_000, scope);
    const { webrtc, llhls, hlsv3 } = figures["connections"] as Record<string, number>;
    assert.deepEqual([webrtc, llhls, hlsv3], [1, 0, 1], scope);
    assert.equal(figures["totalConnections"], 2, scope);
  }
  hold.release();
  hls.release();
  room.clock.advance(1_000);
  const later = (await ask("GET", "/stats/current")).response as Record<string, unknown>;
  assert.deepEqual([later["totalBytesOut"], later["totalConnections"], later["maxTotalConnections"]], [5_000, 0, 2]);
  assert.equal((await ask("GET", `/stats/current${streams}/none`)).statusCode, 404);
  const { response } = await ask("GET", `/stats/current${streams}/live`);
  for (const time of ["requestTimeToOrigin", "responseTimeFromOrigin"])
    assert.ok(Number.isInteger((response as Record<string, unknown>)[time]), time);
});

test("reloads certificates", async (t) => {
  const { ask, reloads } = await node(t);
  for (const path of [
    "/vhosts:reloadAllCertificates",
    "/vhosts/default:reloadCertificate",
    "/managers/api:reloadCertificate",
  ])
    assert.equal((await ask("POST", path)).statusCode, 200, path);
  assert.deepEqual(reloads, ["viewers", "viewers", "api"]);
  assert.equal((await ask("POST", "/vhosts/zz:reloadCertificate")).statusCode, 404);
});

test("subtitles go into the stream from the newest picture on, one after another, all of a call or none", async (t) => {
  const { ask, watch, room } = await node(t);
  const { stream } = await watch("live");
  const cues: unknown[] = [];
  stream.addReader({
    onSample: ({ pts, duration, data, trackId }) =>
      trackId === 1_000 && cues.push([pts, duration, Buffer.from(data).toString()]),
    onEnd() {},
  });
  const call = `${streams}/live:sendSubtitles`;
  const send = async (subtitles: unknown, label = "English") =>
    ask("POST", call, { format: "webvtt", data: [{ label, subtitles }] });
  assert.equal((await send([{ text: "x" }])).statusCode, 409, "nothing to show it on");
  room.source.push(videoSample(0, { isKeyframe: true }), videoSample(30));
  assert.equal(
    (await send([{ text: "x" }], "Korean")).message,
    "[HTTP] Could not find the subtitle track: [Korean] (404)",
  );
  for (const wrong of [
    [],
    [{ text: "" }],
    [{ text: 7 }],
    [{ text: "x", startOffset: -1 }],
    [{ text: "x", durationMs: 1.5 }],
    [{ text: "x", settings: "no\nsettings" }],
    [{ text: "x".repeat(5_000) }],
    [{ text: "good" }, { text: "x", durationMs: 3_600_001 }],
  ])
    assert.equal((await send(wrong)).statusCode, 400, JSON.stringify(wrong).slice(0, 60));
  assert.equal((await ask("POST", call, { format: "srt", data: [] })).statusCode, 400);
  assert.equal((await ask("GET", call)).statusCode, 404);
  assert.deepEqual(cues, []);
  const subtitles = [
    { text: "one\n\ntwo", durationMs: 3_000, settings: "line:80%" },
    { text: "안녕" },
    { text: "later", startOffset: 500, durationMs: 200 },
  ];
  assert.deepEqual(await send(subtitles), { statusCode: 200, message: "OK" });
  assert.deepEqual(cues, [
    [1_000, 3_000, "00:00:00.000 --> 00:00:00.000 line:80%\none\ntwo"],
    [4_000, 1_000, "안녕"],
    [5_500, 200, "later"],
  ]);
  stream.describe({ ...stream.description, path: ["origin-1"] }, false);
  assert.match((await send([{ text: "x" }])).message, /begins at node origin-1: send subtitles there/);
});

test("malformed calls get 4xx, and nothing else happens", async (t) => {
  const { ask } = await node(t);
  const bytes = [
    "",
    "null",
    "[]",
    '"x"',
    '{"name":{}}',
    `{"name":"${"x".repeat(300)}","urls":["rtsp://c"]}`,
    "\0",
    "{".repeat(1_000),
  ];
  for (const body of bytes) {
    const { statusCode } = await ask("POST", streams, body);
    assert.ok(statusCode >= 400 && statusCode < 500, `${body.slice(0, 20)}: ${statusCode}`);
  }
  assert.equal((await ask("POST", streams, "x".repeat(1_100_000))).statusCode, 413);
});

interface Described {
  readonly responses: Readonly<Record<string, { content?: { "application/json"?: { schema?: Schema } } }>>;
  readonly requestBody?: unknown;
}
interface Schema {
  readonly properties?: { readonly response?: { readonly type?: string; readonly required?: readonly string[] } };
}
type Scene = Awaited<ReturnType<typeof node>>;

/** How each answer comes about: what to do before, and what to ask instead of what is there. */
const provocations: Readonly<
  Record<string, { before?: (scene: Scene) => void; path?: (path: string) => string; body?: unknown }>
> = {
  200: {},
  201: { before: ({ room }) => void room.openers.set("rtsp", room.openers.get("test")!) },
  400: { body: "{" },
  403: {},
  // The last thing that a path names is not there.
  404: { path: (path) => path.replace(/\{(\w+)\}(?!.*\{)/, "none") },
  409: { body: { name: "live", urls: ["rtsp://c"] } },
  413: { body: "x".repeat(1_100_000) },
  500: { before: ({ problems }) => void problems.push("edge.crt cannot be read") },
  502: {},
};

const oneCue = { format: "webvtt", data: [{ label: "English", subtitles: [{ text: "Hello" }] }] };

/** Asks for one answer that the file announces. */
async function provoke(t: TestContext, method: string, path: string, status: string, hasBody: boolean) {
  const scene = await node(t);
  if (status === "401") return { statusCode: (await fetch(`${scene.url}/v1${path}`, { method })).status };
  const provocation = provocations[status] ?? assert.fail(`nobody knows how ${method} ${path} answers ${status}`);
  provocation.before?.(scene);
  (await scene.watch("live")).holders = () => [{ id: "a", address: "", sinceMs: 0, end: () => {} }];
  // An application that Server.xml declares cannot be deleted; one that the template made can.
  const isMade = method === "DELETE" && path.endsWith("{app}") && status === "200";
  if (isMade) await scene.watch("live", "made");
  const there = { vhost: "default", app: isMade ? "made" : "app", stream: "live", viewer: "a" };
  const concrete = (provocation.path?.(path) ?? path).replaceAll(
    /\{(\w+)\}/g,
    (_, part: string) => there[part as keyof typeof there],
  );
  const isCall = path.endsWith(":sendSubtitles");
  // What the call needs beyond a stream: media, unless that is what is missing.
  if (isCall && status !== "409") scene.room.source.push(videoSample(0, { isKeyframe: true }));
  const usual = isCall ? oneCue : { name: "x", urls: ["rtsp://c"] };
  const body = hasBody ? ((isCall && status === "409" ? undefined : provocation.body) ?? usual) : undefined;
  return scene.ask(method, concrete, body);
}

test("every answer that docs/openapi.json announces is given, and looks as it says", async (t) => {
  const document = JSON.parse(readFileSync(new URL("../../../docs/openapi.json", import.meta.url), "utf8")) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  };
  let asked = 0;
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [name, { responses, requestBody }] of Object.entries(methods)) {
      const method = name.toUpperCase();
      for (const [status, { content }] of Object.entries(responses)) {
        const answer: Envelope | { statusCode: number } = await provoke(t, method, path, status, Boolean(requestBody));
        assert.equal(String(answer.statusCode), status, `${method} ${path}`);
        asked++;
        const shape = content?.["application/json"]?.schema?.properties?.response;
        if (!shape) continue;
        const response = "response" in answer ? answer.response : undefined;
        if (shape.type === "array") assert.ok(Array.isArray(response), `${method} ${path}`);
        for (const property of shape.required ?? [])
          assert.ok(property in (response as object), `${method} ${path}: ${property}`);
      }
    }
  }
  assert.ok(asked >= 66, `${asked} calls`);
});
