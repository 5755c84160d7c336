import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { verifyTicket, type ViewerProtocol } from "#cluster/ticket/ticket.ts";
import { nodeRecord, routerFixture, startMs, type RouterFixture } from "../test/support/router.ts";
import { withCors } from "./cors.ts";
import { ourFault, problemResponse } from "./http-errors.ts";
import { singleVhost, type Vhosts } from "./vhosts.ts";
import { edgeCache, type ClusterCache } from "./stores/edge-cache.ts";

const offer = { method: "POST", headers: { "Content-Type": "application/sdp" }, body: "v=0\r\n" };

/** The node that a Location names, after its ticket was checked as that node would. */
async function ticketedNode(fixture: RouterFixture, location: string, protocol: ViewerProtocol): Promise<string> {
  const url = new URL(location);
  const node = url.hostname.replace(/\.test$/, "");
  const name = { vhost: "default", app: "app", stream: "stream" };
  const scope = { node, name, protocol };
  const verdict = await verifyTicket(fixture.key, url.searchParams.get("rt"), scope, fixture.cluster.nowMs);
  assert.deepEqual(verdict, { admitted: true, expiresMs: fixture.cluster.nowMs + 60_000 });
  return node;
}

describe("a playlist", () => {
  for (const method of ["GET", "HEAD"]) {
    test(`${method} is redirected to a node with the query and a ticket`, async () => {
      const fixture = await routerFixture();
      const answer = await fixture.ask("/app/stream/master.m3u8?b=%20x&a=1&b=2", { method });
      assert.equal(answer.status, 302);
      assert.equal(answer.headers.get("Cache-Control"), "no-store");
      const location = answer.headers.get("Location")!;
      assert.match(
        location,
        /^http:\/\/edge[12]\.test\/app\/stream\/master\.m3u8\?b=%20x&a=1&b=2&rt=[\w.-]+&rtid=[\da-f]{32}$/,
      );
      await ticketedNode(fixture, location, "llhls");
      assert.equal(await answer.text(), "");
    });
  }

  for (const file of ["ts:playlist.m3u8", "playlist.m3u8?format=ts"]) {
    test(`of HLS version 3, ${file}, keeps its name`, async () => {
      const fixture = await routerFixture();
      const location = (await fixture.ask(`/app/stream/${file}`)).headers.get("Location")!;
      assert.ok(location.includes(`.test/app/stream/${file}`), location);
      await ticketedNode(fixture, location, "llhls");
    });
  }

  const hosts = async ({ ask, cluster }: RouterFixture, count: number, everyMs: number) => {
    const seen = new Set<string>();
    for (let i = 0; i < count; i++) {
      seen.add(new URL((await ask("/app/stream/llhls.m3u8")).headers.get("Location")!).host);
      cluster.nowMs += everyMs;
    }
    return seen.size;
  };

  test("stays at its node while that is well, and spreads a rush that reports cannot show yet", async () => {
    assert.equal(await hosts(await routerFixture(), 20, 1_500), 1);
    assert.equal(await hosts(await routerFixture(), 20, 1), 2);
  });

  test("?avoid= names nodes that failed the viewer", async () => {
    const { ask } = await routerFixture();
    const host = async (path: string) => new URL((await ask(path)).headers.get("Location")!).hostname;
    const first = (await host("/app/stream/llhls.m3u8")).replace(".test", "");
    assert.notEqual(await host(`/app/stream/llhls.m3u8?avoid=x,${first}`), `${first}.test`);
    assert.equal((await ask("/app/stream/llhls.m3u8?avoid=edge1,edge2")).status, 503);
  });

  test("an old ticket in the query is replaced", async () => {
    const { ask } = await routerFixture();
    const location = (await ask("/app/stream/llhls.m3u8?rt=old&x=1&rt")).headers.get("Location")!;
    assert.deepEqual([...new URL(location).searchParams.keys()], ["x", "rt", "rtid"]);
  });

  test("?_resolve=json says where instead", async () => {
    const { ask } = await routerFixture();
    const answer = await ask("/app/stream/llhls.m3u8?_resolve=json");
    assert.equal(answer.status, 200);
    assert.match(((await answer.json()) as { url: string }).url, /^http:\/\/edge/);
  });
});

describe("WHEP", () => {
  for (const path of ["/app/stream/whep", "/app/stream?direction=whep", "/app/stream/any?direction=whep"]) {
    test(`POST ${path} is redirected with its body`, async () => {
      const fixture = await routerFixture();
      const answer = await fixture.ask(path, offer);
      assert.equal(answer.status, 307);
      const location = answer.headers.get("Location")!;
      assert.ok(location.includes(`.test${path}`), location);
      await ticketedNode(fixture, location, "whep");
    });
  }

  test("?via=proxy passes the offer on and returns the node's answer", async () => {
    const sent: string[] = [];
    const { ask } = await routerFixture(
      {},
      {
        fetch: async (url, init) => {
          sent.push(url, await new Response((init as RequestInit).body).text());
          return new Response("v=0\r\nanswer", { status: 201, headers: { Location: "http://edge1.test/s/1" } });
        },
      },
    );
    const answer = await ask("/app/stream/whep?via=proxy", offer);
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get("Location"), "http://edge1.test/s/1");
    assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*");
    assert.equal(await answer.text(), "v=0\r\nanswer");
    assert.match(sent[0]!, /\/app\/stream\/whep\?via=proxy&rt=/);
    assert.equal(sent[1], offer.body);
  });

  test("?via=proxy goes to the next node when the first does not answer", async () => {
    const asked: string[] = [];
    const { ask } = await routerFixture(
      {},
      {
        fetch: (url) => {
          asked.push(new URL(url).hostname);
          return asked.length === 1
            ? Promise.reject(new TypeError("refused"))
            : Promise.resolve(new Response("", { status: 201 }));
        },
      },
    );
    assert.equal((await ask("/app/stream/whep?via=proxy", offer)).status, 201);
    assert.equal(new Set(asked).size, 2);
  });

  test("an offer longer than any is refused", async () => {
    const { ask } = await routerFixture();
    const answer = await ask("/app/stream/whep?via=proxy", { method: "POST", body: "x".repeat(65_537) });
    assert.equal(answer.status, 413);
  });
});

describe("CORS", () => {
  for (const path of ["/app/stream/llhls.m3u8", "/app/stream/whep", "/-/resolve/app/stream", "/nothing"]) {
    test(`OPTIONS ${path} is answered here`, async () => {
      const { ask, cluster } = await routerFixture();
      const answer = await ask(path, { method: "OPTIONS", headers: { "Access-Control-Request-Method": "POST" } });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*");
      assert.match(answer.headers.get("Access-Control-Allow-Methods")!, /POST/);
      assert.match(answer.headers.get("Access-Control-Allow-Headers")!, /Authorization/);
      assert.equal(answer.headers.get("Access-Control-Allow-Private-Network"), "true");
      assert.equal(cluster.reads, 0);
    });
  }

  test("every answer carries it, errors and redirects included", async () => {
    const { ask } = await routerFixture();
    const asked: [string, RequestInit?][] = [
      ["/app/stream/llhls.m3u8"],
      ["/app/unknown/llhls.m3u8"],
      ["/app/stream/whep", offer],
      ["/"],
      ["/-/health"],
      ["/-/cluster"],
      ["/-/resolve/app/stream?protocol=x"],
      ["/app/stream/whep", { method: "DELETE" }],
    ];
    for (const [path, init] of asked) {
      const answer = await ask(path, init);
      assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*", path);
      assert.equal(answer.headers.get("Access-Control-Allow-Credentials"), null, path);
      assert.equal(answer.headers.get("Cache-Control"), "no-store", path);
    }
  });

  test("so does a refusal that says when to come again, and a fault of the router", async (t) => {
    const full = await routerFixture({ nodes: [] });
    const busy = await full.ask("/app/stream/llhls.m3u8");
    assert.equal(busy.status, 503);
    assert.ok(Number(busy.headers.get("Retry-After")) > 0);
    const vhosts: Vhosts = {
      ...singleVhost,
      vhostOf: () => {
        throw new TypeError("a bug of ours");
      },
    };
    const faulty = await routerFixture({}, { vhosts });
    t.mock.method(console, "error", () => {});
    const fault = await faulty.ask("/app/stream/llhls.m3u8");
    assert.equal(fault.status, 500);
    for (const { headers } of [busy, fault]) {
      assert.equal(headers.get("Access-Control-Allow-Origin"), "*");
      assert.match(headers.get("Access-Control-Expose-Headers")!, /\bRetry-After\b/);
      assert.equal(headers.get("Cache-Control"), "no-store");
    }
  });

  test("so does what is answered where there is no router, because its settings are wrong", async () => {
    const problem = (): Response => problemResponse(ourFault);
    const asked = (method: string): Response => withCors(new Request("http://router.test/", { method }), problem());
    assert.equal(asked("OPTIONS").status, 204);
    const answer = asked("GET");
    assert.deepEqual([answer.status, answer.headers.get("Access-Control-Allow-Origin")], [500, "*"]);
    assert.equal(answer.headers.get("Cache-Control"), "no-store");
  });
});

describe("viewers of the cluster", () => {
  const name = "default/app/stream";
  const viewers = async (...of: (readonly [here: number, inAll?: number])[]): Promise<unknown> => {
    const nodes = of.map(([here, inAll], index) =>
      nodeRecord(`edge${index}`, {
        streams: { [name]: here },
        ...(inAll !== undefined && { audiences: { [name]: inAll } }),
      }),
    );
    const { ask } = await routerFixture({ nodes }, { env: { HEARTH_OPERATOR_TOKEN: "token" } });
    const answer = await ask("/-/cluster", { headers: { Authorization: "Bearer token" } });
    return ((await answer.json()) as { viewers: unknown }).viewers;
  };

  test("are the sum where no node knows who watches at two", async () => {
    assert.deepEqual(await viewers([3], [4]), { [name]: 7 });
  });

  test("are each one where a node knows; never more than the sum, nor fewer than at one node", async () => {
    assert.deepEqual(await viewers([3, 5], [4]), { [name]: 5 });
    assert.deepEqual(await viewers([3, 9], [4, 8]), { [name]: 7 });
    assert.deepEqual(await viewers([3, 0], [4, 0]), { [name]: 4 });
  });
});

describe("which streams exist", () => {
  const status = async (fixture: RouterFixture, path = "/app/stream/llhls.m3u8") => (await fixture.ask(path)).status;

  test("one that an origin holds in the store", async () => {
    assert.equal(await status(await routerFixture()), 302);
  });

  test("one that a node carries", async () => {
    const nodes = [nodeRecord("edge1", { streams: { "default/app/stream": 3 } })];
    assert.equal(await status(await routerFixture({ origins: {}, nodes })), 302);
  });

  test("one that a local rule can pull", async () => {
    const vhosts = { ...singleVhost, vhostOf: () => "default", ruleFor: () => "rule 1" };
    assert.equal(await status(await routerFixture({ origins: {} }, { vhosts })), 302);
  });

  test("no other, and the answer says so", async () => {
    const { ask } = await routerFixture({ origins: {} });
    const answer = await ask("/app/stream/llhls.m3u8");
    assert.equal(answer.status, 404);
    const body = (await answer.json()) as { error: string; code: string };
    assert.equal(body.code, "unknown-stream");
    assert.match(body.error, /app\/stream of virtual host default is not there/);
  });

  test("none on a host that no virtual host has", async () => {
    const vhosts = { ...singleVhost, vhostOf: () => undefined, ruleFor: () => undefined };
    assert.equal(await status(await routerFixture({}, { vhosts })), 404);
  });
});

describe("no node", () => {
  for (const [what, more] of [
    ["drains", { state: "draining" }],
    ["is full", { viewers: 1_000 }],
    ["delivers something else", { protocols: ["webrtc"] }],
  ] as const) {
    test(`503 with Retry-After when the only one ${what}`, async () => {
      const { ask } = await routerFixture({ nodes: [nodeRecord("edge1", more)] });
      const answer = await ask("/app/stream/llhls.m3u8");
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get("Retry-After"), "2");
      assert.equal(((await answer.json()) as { code: string }).code, "no-node");
    });
  }

  test("a viewer who comes back with the ticket just given is in a loop; later it is a viewer again", async () => {
    const { ask, cluster } = await routerFixture();
    const location = (await ask("/app/stream/llhls.m3u8")).headers.get("Location")!;
    const again = `/app/stream/llhls.m3u8${new URL(location).search}`;
    const answer = await ask(again);
    assert.equal(answer.status, 508);
    assert.equal(((await answer.json()) as { code: string }).code, "routed-twice");
    cluster.nowMs += 6_000;
    assert.equal((await ask(again)).status, 302);
  });

  test("a node that gives the router's address as its own is a loop, not a target", async () => {
    const { ask } = await routerFixture({ nodes: [nodeRecord("edge1", { url: "http://router.test" })] });
    assert.equal((await ask("/app/stream/llhls.m3u8")).status, 508);
  });
});

describe("a silent store", () => {
  test("known streams are routed from memory for 300 s, then 503", async () => {
    const { ask, cluster } = await routerFixture();
    assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
    cluster.isSilent = true;
    cluster.nowMs += 299_000;
    assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
    cluster.nowMs += 2_000;
    assert.equal((await ask("/app/stream/llhls.m3u8")).status, 503);
  });

  test("unknown streams are never said to be missing", async () => {
    const { ask, cluster } = await routerFixture();
    assert.equal((await ask("/app/other/llhls.m3u8")).status, 404);
    cluster.isSilent = true;
    cluster.nowMs += 5_000;
    const answer = await ask("/app/other/llhls.m3u8");
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get("Retry-After"), "2");
  });

  test("is asked once a second at most", async () => {
    const { ask, cluster } = await routerFixture({ isSilent: true });
    for (let i = 0; i < 20; i++) await ask(`/app/s${i}/llhls.m3u8`);
    assert.equal(cluster.reads, 1);
  });
});

describe("a silent store and a new isolate", () => {
  /** The data centre's cache, as far as the router uses it. */
  function memoryCache(): ClusterCache {
    const held = new Map<string, string>();
    return edgeCache({
      match: async (url) => (held.has(url) ? new Response(held.get(url)) : undefined),
      put: async (url, response) => void held.set(url, await response.text()),
    });
  }

  test("known streams are routed from what another isolate left in the cache, for 300 s", async () => {
    const cache = memoryCache();
    const { ask } = await routerFixture({}, { cache });
    assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
    assert.equal((await ask("/app/missing/llhls.m3u8")).status, 404);
    const other = await routerFixture({ origins: { "default/app/late": ["ovt://origin:9000/app/late"] } }, { cache });
    for (let i = 0; i < 2; i++) assert.equal((await other.ask("/app/late/llhls.m3u8")).status, 302);
    const later = async (afterMs: number, path: string) => {
      const fresh = await routerFixture({ isSilent: true, nowMs: startMs + afterMs }, { cache });
      return (await fresh.ask(path)).status;
    };
    assert.equal(await later(10, "/app/stream/llhls.m3u8"), 302);
    assert.equal(await later(10, "/app/missing/llhls.m3u8"), 503);
    assert.equal(await later(10, "/app/late/llhls.m3u8"), 302);
    assert.equal(await later(299_000, "/app/stream/llhls.m3u8"), 302);
    assert.equal(await later(301_000, "/app/stream/llhls.m3u8"), 503);
  });

  test("a cache that holds nonsense, or fails, changes nothing", async () => {
    for (const match of [
      async () => new Response("x"),
      async () => Response.json({ nodes: 1 }),
      () => Promise.reject(new Error("no cache here")),
    ]) {
      const cache = edgeCache({ match, put: () => Promise.reject(new Error("no cache here")) });
      const { ask, cluster } = await routerFixture({ isSilent: true }, { cache });
      assert.equal((await ask("/app/stream/llhls.m3u8")).status, 503);
      cluster.isSilent = false;
      cluster.nowMs += 2_000;
      assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
    }
  });
});

test("a store that lost its data loses no viewer: what it said within a lease still holds", async () => {
  const { ask, cluster } = await routerFixture();
  const status = async () => (await ask("/app/stream/llhls.m3u8")).status;
  assert.equal(await status(), 302);
  cluster.nodes = [];
  cluster.origins = {};
  for (const afterMs of [2_000, 5_000, 2_000]) {
    cluster.nowMs += afterMs;
    assert.equal(await status(), 302);
  }
  cluster.nowMs += 2_000;
  assert.equal(await status(), 404);
});

describe("round trips", () => {
  test("one a second for any number of viewers, whether the stream exists or not", async () => {
    const { ask, cluster } = await routerFixture();
    for (let i = 0; i < 20; i++) await ask("/app/stream/llhls.m3u8");
    assert.equal(cluster.reads, 1);
    for (let i = 0; i < 20; i++) await ask("/app/unknown/llhls.m3u8");
    assert.deepEqual([cluster.reads, cluster.lookups], [2, 1]);
  });

  test("what is asked of a name never heard of, while the nodes are known, is small", async () => {
    const { ask, cluster } = await routerFixture();
    for (let i = 0; i < 20; i++) assert.equal((await ask(`/app/unknown${i}/llhls.m3u8`)).status, 404);
    assert.deepEqual([cluster.reads, cluster.lookups], [20, 19]);
  });
});

describe("/-/resolve?protocol=hls", () => {
  for (const [asked, path] of [
    ["stream", "stream/ts:playlist.m3u8"],
    ["stream/720p.m3u8", "stream/ts:720p.m3u8"],
    ["stream/ts:720p.m3u8", "stream/ts:720p.m3u8"],
    ["stream/whep", "stream/ts:playlist.m3u8"],
  ] as const) {
    test(`names the MPEG-TS playlist of ${asked}, with a ticket that the node admits`, async () => {
      const fixture = await routerFixture();
      const answer = await fixture.ask(`/-/resolve/app/${asked}?x=1&protocol=hls`);
      const { url, node } = (await answer.json()) as { url: string; node: string };
      assert.ok(url.startsWith(`http://${node}.test/app/${path}?x=1&rt=`), url);
      assert.equal(await ticketedNode(fixture, url, "llhls"), node);
    });
  }

  test("is explained, too", async () => {
    const { ask } = await routerFixture();
    const answer = await ask("http://localhost/-/explain/app/stream?protocol=hls");
    assert.equal(((await answer.json()) as { protocol: string }).protocol, "hls");
  });
});

describe("/-/resolve", () => {
  for (const [protocol, url] of [
    ["webrtc", /^ws:\/\/edge[12]\.test\/app\/stream\?x=1&rt=/],
    ["whep", /^http:\/\/edge[12]\.test\/app\/stream\/whep\?x=1&rt=/],
    ["llhls", /^http:\/\/edge[12]\.test\/app\/stream\/llhls\.m3u8\?x=1&rt=/],
  ] as const) {
    test(`says where to play by ${protocol}`, async () => {
      const fixture = await routerFixture();
      const answer = await fixture.ask(`/-/resolve/app/stream?x=1&protocol=${protocol}`);
      const body = (await answer.json()) as { url: string; node: string; expires: number };
      assert.match(body.url, url);
      assert.equal(await ticketedNode(fixture, body.url, protocol), body.node);
      assert.equal(body.expires, fixture.cluster.nowMs + 60_000);
    });
  }
});

describe("/-/explain and /-/cluster", () => {
  test("show the decision with its reasons", async () => {
    const nodes = [
      nodeRecord("edge1", { streams: { "default/app/stream": 1 } }),
      nodeRecord("edge2", { state: "draining" }),
      nodeRecord("edge3"),
    ];
    const { ask } = await routerFixture({ nodes, rawRecords: ['x.{"at":1,"record":{"id":"mallory"}}'] }, loopback);
    const answer = (await (await ask("http://localhost/-/explain/app/stream")).json()) as Record<string, unknown>;
    assert.deepEqual(answer["node"], { id: "edge1", url: "http://edge1.test" });
    assert.match(String(answer["reason"]), /carries the stream already/);
    assert.deepEqual(answer["excluded"], [
      { node: "mallory", reason: "its record is not signed with the cluster's secret" },
      { node: "edge2", reason: "it is draining" },
    ]);
    assert.deepEqual(
      (answer["runnersUp"] as { node: string }[]).map(({ node }) => node),
      ["edge3"],
    );
  });

  test("the map lists every node with its load", async () => {
    const { ask } = await routerFixture({ nodes: [nodeRecord("edge1", { viewers: 250 })] }, loopback);
    const answer = (await (await ask("http://127.0.0.1/-/cluster")).json()) as { nodes: Record<string, unknown>[] };
    assert.equal(answer.nodes[0]!["id"], "edge1");
    assert.equal(answer.nodes[0]!["load"], 0.25);
  });

  for (const path of ["/-/explain/app/stream", "/-/cluster"]) {
    test(`${path} is for operators`, async () => {
      const closed = await routerFixture();
      assert.equal((await closed.ask(path)).status, 403);
      assert.equal((await closed.ask(`http://localhost:8787${path}`)).status, 200);
      const { ask } = await routerFixture({}, { env: { HEARTH_OPERATOR_TOKEN: "token" } });
      const withToken = (token: string) => ask(path, { headers: { Authorization: token } });
      assert.equal((await ask(path)).status, 401);
      assert.equal((await ask(`http://localhost${path}`)).status, 401);
      assert.equal((await withToken("Bearer tokem")).status, 403);
      assert.equal((await withToken("Basic token")).status, 401);
      assert.equal((await withToken("Bearer token")).status, 200);
    });
  }
});

const loopback = { env: {} };

describe("the laptop's switch", () => {
  const env = { LAPTOP_CONTROL_URL: "http://127.0.0.1:1/" };
  const asked: string[] = [];
  const fetch = async (url: string) => {
    asked.push(url);
    return Response.json({ ok: true });
  };

  test("is passed on to the launcher", async () => {
    const { ask } = await routerFixture({}, { env, fetch });
    assert.equal((await ask("http://localhost/-/laptop/stop/edge1", { method: "POST" })).status, 200);
    assert.deepEqual(asked, ["http://127.0.0.1:1/stop/edge1"]);
  });

  test("is not for pages of other sites", async () => {
    const { ask } = await routerFixture({}, { env, fetch });
    const headers = { Origin: "http://elsewhere.test" };
    assert.equal((await ask("http://localhost/-/laptop/stop/edge1", { method: "POST", headers })).status, 403);
  });

  test("is not there without a launcher", async () => {
    const { ask } = await routerFixture();
    assert.equal((await ask("http://localhost/-/laptop/stop/edge1", { method: "POST" })).status, 404);
  });
});

describe("everything else", () => {
  test("health asks nothing of the store", async () => {
    const { ask, cluster } = await routerFixture({ isSilent: true });
    assert.equal((await ask("/-/health")).status, 200);
    assert.equal(cluster.reads, 0);
  });

  test("the page is served when there is one", async () => {
    const ASSETS = { fetch: () => Promise.resolve(new Response("page")) };
    const { ask } = await routerFixture({}, { env: { ASSETS } });
    assert.equal(await (await ask("/")).text(), "page");
  });

  test("dots and empty names lead nowhere", async () => {
    const { ask } = await routerFixture();
    for (const path of ["/app/%2e%2e/x.m3u8", "//stream/x.m3u8", "/app//x.m3u8", "/-/stream/x.m3u8"])
      assert.equal((await ask(`http://router.test${path}`)).status, 404, path);
  });

  test("PATCH and DELETE belong to the node", async () => {
    const { ask } = await routerFixture();
    const answer = await ask("/app/stream/whep", { method: "DELETE" });
    assert.equal(answer.status, 405);
    assert.equal(answer.headers.get("Allow"), "GET, HEAD, POST, OPTIONS");
  });
});
