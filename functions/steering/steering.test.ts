import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { nodeRecord, routerFixture } from "../../test/support/router.ts";
import { steeredMaster } from "./steered-master.ts";
import { steeringManifest } from "./steering-manifest.ts";

const master = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio_opus",NAME="a",DEFAULT=YES,URI="chunklist_1_audio_k_llhls.m3u8?session=s"
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.42c01f,opus",AUDIO="audio_opus",CLOSED-CAPTIONS=NONE
chunklist_0_video_k_llhls.m3u8?session=s
`;

test("a master playlist is written once a pathway, with absolute URIs and audio of its own", () => {
  const pathways = ["a", "b"].map((id) => ({ id, base: `https://${id}.test/app/stream/llhls.m3u8` }));
  assert.equal(
    steeredMaster(master, pathways, "https://router.test/-/steer/app/stream?pathways=a,b"),
    `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-CONTENT-STEERING:SERVER-URI="https://router.test/-/steer/app/stream?pathways=a,b",PATHWAY-ID="a"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio_opus_1",NAME="a",DEFAULT=YES,URI="https://a.test/app/stream/chunklist_1_audio_k_llhls.m3u8?session=s"
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.42c01f,opus",AUDIO="audio_opus_1",CLOSED-CAPTIONS=NONE,PATHWAY-ID="a"
https://a.test/app/stream/chunklist_0_video_k_llhls.m3u8?session=s
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio_opus_2",NAME="a",DEFAULT=YES,URI="https://b.test/app/stream/chunklist_1_audio_k_llhls.m3u8?session=s"
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.42c01f,opus",AUDIO="audio_opus_2",CLOSED-CAPTIONS=NONE,PATHWAY-ID="b"
https://b.test/app/stream/chunklist_0_video_k_llhls.m3u8?session=s
`,
  );
});

test("every prefix of a master playlist gives a playlist, never a throw", () => {
  const pathways = [{ id: "a", base: "https://a.test/app/stream/llhls.m3u8" }];
  for (let end = 0; end <= master.length; end++)
    assert.match(steeredMaster(master.slice(0, end), pathways, "https://r.test"), /#EXT-X-CONTENT-STEERING/);
});

describe("a steering manifest", () => {
  const a = nodeRecord("a", { url: "https://a.test" });
  const b = nodeRecord("b", { url: "https://b.test" });
  const priority = (...given: Parameters<typeof steeringManifest>) => steeringManifest(...given)["PATHWAY-PRIORITY"];
  const both = new Map([
    ["a", a],
    ["b", b],
  ]);

  test("leaves a player where it is while its node is well", () => {
    assert.deepEqual(priority(both, "b", [a], "/"), ["b", "a"]);
    assert.deepEqual(priority(both, undefined, [b], "/"), ["b", "a"]);
  });

  test("moves it when the node drains or is gone", () => {
    const draining = nodeRecord("a", { state: "draining" });
    assert.deepEqual(priority(new Map([...both, ["a", draining]]), "a", [b], "/"), ["b", "a"]);
    assert.deepEqual(priority(new Map([...both, ["a", undefined]]), "a", [b], "/"), ["b", "a"]);
  });

  test("brings in another node as a clone while fewer than two are well", () => {
    const going = new Map([
      ["a", nodeRecord("a", { url: "https://a.test", state: "draining" })],
      ["b", undefined],
    ]);
    const manifest = steeringManifest(going, "a", [nodeRecord("c", { url: "https://c.test" })], "/");
    assert.deepEqual(manifest["PATHWAY-PRIORITY"], ["c", "a", "b"]);
    assert.deepEqual(manifest["PATHWAY-CLONES"], [{ "BASE-ID": "a", ID: "c", "URI-REPLACEMENT": { HOST: "c.test" } }]);
    const alone = steeringManifest(new Map([["a", a]]), "a", [a, b], "/");
    assert.deepEqual(alone["PATHWAY-PRIORITY"], ["a", "b"]);
    const otherPort = nodeRecord("c", { url: "https://c.test:8443" });
    assert.equal(steeringManifest(going, "a", [otherPort], "/")["PATHWAY-CLONES"], undefined);
  });
});

describe("the routes", () => {
  const fetch = async (url: string) => {
    assert.match(url, /\/app\/stream\/llhls\.m3u8\?steering=1&rt=/);
    return new Response(master, { headers: { "Content-Type": "application/vnd.apple.mpegurl" } });
  };

  test("?steering=1 answers a playlist of two nodes, and /-/steer moves its player off a draining one", async () => {
    const { ask, cluster } = await routerFixture({}, { fetch });
    const answer = await ask("/app/stream/llhls.m3u8?steering=1");
    assert.equal(answer.headers.get("Content-Type"), "application/vnd.apple.mpegurl");
    const text = await answer.text();
    const [, server = "", first = ""] = /SERVER-URI="([^"]+)",PATHWAY-ID="([^"]+)"/.exec(text) ?? [];
    assert.deepEqual(new Set(text.match(/http:\/\/edge\d/g)), new Set(["http://edge1", "http://edge2"]));
    const order = async () =>
      ((await (await ask(`${server}&_HLS_pathway=${first}`)).json()) as { "PATHWAY-PRIORITY": string[] })[
        "PATHWAY-PRIORITY"
      ];
    assert.equal((await order())[0], first);
    cluster.nodes = cluster.nodes.map((node) => (node.id === first ? { ...node, state: "draining" } : node));
    cluster.nowMs += 2_000;
    assert.notEqual((await order())[0], first);
  });

  test("a node's refusal is passed on, and one that does not answer is left out for a while", async () => {
    const held = await routerFixture({}, { fetch: async () => new Response(null, { status: 202 }) });
    assert.equal((await held.ask("/app/stream/llhls.m3u8?steering=1")).status, 202);
    const dead = await routerFixture();
    assert.equal((await dead.ask("/app/stream/llhls.m3u8?steering=1")).status, 502);
    assert.equal((await dead.ask("/app/stream/llhls.m3u8?steering=1")).status, 502);
    assert.equal((await dead.ask("/app/stream/llhls.m3u8?steering=1")).status, 503);
  });

  test("while the store is silent everybody stays", async () => {
    const { ask } = await routerFixture({ isSilent: true });
    const answer = await ask("/-/steer/app/stream?pathways=edge1,edge2&_HLS_pathway=edge2");
    const body = (await answer.json()) as { "PATHWAY-PRIORITY": string[] };
    assert.deepEqual(body["PATHWAY-PRIORITY"], ["edge2", "edge1"]);
  });
});
