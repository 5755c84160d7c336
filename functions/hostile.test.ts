// What strangers send, and what strangers write into the store: nobody is redirected to a place that no node signed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitPath } from "#cluster/origin-map/split-path.ts";
import { signNodeRecord } from "#cluster/store/node-record.ts";
import { importSigningKey } from "#cluster/ticket/signing-key.ts";
import { nodeRecord, routerFixture, startMs } from "../test/support/router.ts";
import { takeUrlApart } from "./asked-url.ts";
import { isProblem, parseRequestedStream } from "./requested-stream.ts";
import { singleVhost } from "./vhosts.ts";

/** Mulberry32: the same numbers in every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pieces = (
  "/ \\ . @ : ? # % & = ; , \t \r \n [ ] { } | ^ ` ' \" < > * ( ) + ! $ ~ _ - // .. %2e %2E%2e %2f %5c %00 %0d%0a %ff \0 \u202e ① é \ud800 ＠ " +
  "app stream llhls.m3u8 whep http: https://evil.test @evil.test evil.test 127.0.0.1 169.254.169.254 [::1] 0x7f.1 xn-- " +
  "?direction=whep &rt=x javascript: " +
  "a".repeat(300)
).split(" ");
pieces.push(" ");

function hostilePath(random: () => number): string {
  const count = 1 + Math.floor(random() * 8);
  return Array.from({ length: count }, () => pieces[Math.floor(random() * pieces.length)]!).join("");
}

const hosts = (
  "router.test edge1.test.evil.test evil.test 127.0.0.1 [::1] [::ffff:169.254.169.254] 169.254.169.254 0x7f.1 2130706433 " +
  "router.test:1 router.test:65535 router.test. ROUTER.TEST xn--evil-9za.test evil.test%00.router.test router.test%2eevil.test " +
  "user@router.test evil.test@router.test user:word@evil.test router.test\\evil.test evil.test#router.test -.- .. " +
  "a.".repeat(120) +
  " edge1.test"
).split(" ");

/** As a stranger can make it: keys that mean something here, with and without values, in any spelling and number. */
function hostileQuery(random: () => number): string {
  const keys = [
    "rt",
    "avoid",
    "direction",
    "via",
    "steering",
    "managed",
    "_resolve",
    "protocol",
    "policy",
    "signature",
    "x",
  ];
  const count = Math.floor(random() * 5);
  return Array.from({ length: count }, () => {
    const key = keys[Math.floor(random() * keys.length)]!;
    const meant = ["whep", "proxy", "1", "json", "edge1"][Math.floor(random() * 5)]!;
    return random() < 0.2 ? key : `${key}=${random() < 0.5 ? meant : hostilePath(random)}`;
  }).join("&");
}

test("10,000 hostile hosts, paths and queries lead to no foreign place, and make the router fetch from none", async () => {
  const seed = 1;
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const fetched: string[] = [];
  const fetch = async (url: string) => {
    fetched.push(url);
    return new Response("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttps://evil.test/x.m3u8\n");
  };
  const vhosts = { ...singleVhost, vhostOf: () => "default", ruleFor: () => "every stream is known here" };
  const { app } = await routerFixture({}, { vhosts, fetch });
  let redirects = 0;
  let asked = 0;
  while (asked < 10_000) {
    const path = pick([
      () => `/app/stream/${hostilePath(random)}.m3u8`,
      () => `/${hostilePath(random)}/stream/llhls.m3u8`,
      () => `/app/${hostilePath(random)}/whep`,
      () => `/-/resolve/${hostilePath(random)}`,
      () => `//${pick(hosts)}/app/stream/llhls.m3u8`,
      () => "/app/stream/llhls.m3u8",
      () => "/app/stream/whep",
    ])();
    const passedOn = random() < 0.2 ? pick(["via=proxy&", "steering=1&"]) : "";
    const url = `http://${pick(hosts)}${path}?${passedOn}${hostileQuery(random)}`;
    // What names a user no runtime hands over.
    if (!URL.canParse(url) || new URL(url).username !== "") continue;
    asked++;
    const headers: Record<string, string> = { "X-Forwarded-Host": "evil.test", Forwarded: "host=evil.test" };
    const method = random() < 0.6 ? "GET" : pick(["POST", "HEAD", "OPTIONS", "DELETE"]);
    const answer = await app.request(url, { method, headers, ...(method === "POST" && { body: "v=0" }) });
    assert.notEqual(answer.status, 500, `seed ${seed}: ${JSON.stringify(url)}`);
    const location = answer.headers.get("Location");
    if (location === null) continue;
    redirects++;
    assert.match(location, /^http:\/\/edge[12]\.test\//, `seed ${seed}: ${JSON.stringify(url)}`);
    assert.match(new URL(location).host, /^edge[12]\.test$/);
  }
  assert.ok(redirects > 1_000, `only ${redirects} redirects were tried`);
  assert.ok(fetched.length > 100, `only ${fetched.length} requests were passed on`);
  for (const url of fetched) assert.match(url, /^http:\/\/edge[12]\.test\//);
});

test("router, redirect and node read the same names out of a million generated paths", () => {
  const seed = 2;
  const random = randomFrom(seed);
  let read = 0;
  for (let i = 0; i < 1_000_000; i++) {
    // As a runtime hands it over: the target as it was sent, nothing normalised.
    const url = `http://router.test/${hostilePath(random)}/${hostilePath(random)}/x.m3u8`;
    const { path } = takeUrlApart(url)!;
    const stream = parseRequestedStream(path, "router.test", singleVhost);
    if (isProblem(stream)) continue;
    read++;
    const { app, stream: name } = splitPath(path);
    assert.deepEqual([stream.name.app, stream.name.stream], [app, name]);
    const atNode = splitPath(new URL(`http://edge1.test${stream.path}?rt=x`).pathname);
    const asSent = (text: string) => splitPath(new URL(`http://edge1.test/${text}`).pathname).app;
    assert.deepEqual([atNode.app, atNode.stream], [asSent(app), asSent(name)], `seed ${seed}: ${JSON.stringify(url)}`);
    assert.match(`http://edge1.test${stream.path}`, /^http:\/\/edge1\.test\/[^/\\]+\/[^/\\]+(\/[^/\\]*)?$/);
  }
  assert.ok(read > 50_000, `only ${read} paths were streams`);
});

test("500 poisoned records redirect nobody and hide no node", async () => {
  const random = randomFrom(3);
  const stranger = await importSigningKey("the secret of a stranger");
  const poisonedUrls = [
    "http://169.254.169.254",
    "http://127.0.0.1:6379",
    "https://user@evil.test",
    "https://evil.test\r\nSet-Cookie: a=b",
    "https://127.0.0.1.nip.io",
    "https://xn--evil-9za.test",
    "//evil.test",
    "javascript:alert(1)",
  ];
  const poison = async (index: number): Promise<string> => {
    const url = poisonedUrls[index % poisonedUrls.length]!;
    const record = nodeRecord(index % 2 ? `mallory${index}` : "edge1", { url, streams: { "default/app/stream": 1 } });
    const signed = await signNodeRecord(stranger, record, startMs);
    const cut = Math.floor(random() * signed.length);
    return [
      signed,
      signed.slice(0, cut),
      signed.slice(cut),
      signed.replace(/^[^.]*/, ""),
      signed.replace(/^[^.]*/, "A".repeat(43)),
      "[".repeat(2_000),
      `.${"9".repeat(5_000)}`,
      '.{"__proto__":{"id":"x"},"at":1,"record":{"__proto__":{"state":"serving"}}}',
      signed.slice(0, cut) + String.fromCharCode(Math.floor(random() * 65_536)) + signed.slice(cut + 1),
      "\u0000",
    ][index % 10]!;
  };
  const rawRecords = await Promise.all(Array.from({ length: 500 }, (_, index) => poison(index)));
  const fixture = await routerFixture({ rawRecords });
  for (let i = 0; i < 100; i++) {
    fixture.cluster.nowMs += 1_500;
    const answer = await fixture.ask("/app/stream/llhls.m3u8");
    assert.match(answer.headers.get("Location")!, /^http:\/\/edge[12]\.test\//);
  }
  const map = (await (await fixture.ask("http://localhost/-/cluster")).json()) as { nodes: { id: string }[] };
  assert.deepEqual(
    map.nodes.map(({ id }) => id),
    ["edge1", "edge2"],
  );
});

test("poisoned origins make a stream known, and show no secret", async () => {
  const origins = { "default/app/stream": ["rtsp://user:word@camera/x?token=word", "\r\n", "javascript:alert(1)"] };
  const { ask } = await routerFixture({ origins });
  assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
  const answer = await (await ask("http://localhost/-/explain/app/stream")).text();
  assert.ok(!answer.includes("word"), answer);
});
