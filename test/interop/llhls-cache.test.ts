// A cache in front of two edges: what it may keep it keeps, and what is one viewer's it gives to nobody else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip } from "../support/clip.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { until } from "../support/until.ts";

const secret = "shared by all edges";
const viewers = 30;

async function startNginx(t: TestContext, edges: readonly string[]): Promise<string> {
  assert.ok(existsSync("/usr/sbin/nginx"), "This test needs nginx: apt-get install nginx-light");
  const folder = mkdtempSync(join(tmpdir(), "hearth-cache-"));
  const reserved = createServer().listen(0, "127.0.0.1");
  await once(reserved, "listening");
  const { port } = reserved.address() as { port: number };
  reserved.close();
  await once(reserved, "close");
  const temporary = ["client_body", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  const servers = edges.map((edge) => `server ${new URL(edge).host};`).join(" ");
  writeFileSync(
    join(folder, "nginx.conf"),
    `${process.getuid?.() === 0 ? "user root;" : ""} worker_processes 1; daemon off; pid ${folder}/pid; error_log stderr error;
events { worker_connections 512; }
http { access_log off; ${temporary.join(" ")} proxy_temp_path ${folder}/proxy;
proxy_cache_path ${folder}/cache keys_zone=media:1m; upstream edges { ${servers} keepalive 16; }
server { listen 127.0.0.1:${port}; location / { proxy_pass http://edges; proxy_http_version 1.1; proxy_set_header Connection "";
proxy_set_header Host localhost; proxy_cache media; proxy_cache_lock on; proxy_cache_key $request_uri;
add_header X-Cache $upstream_cache_status; } } }`,
  );
  const child = spawn("/usr/sbin/nginx", ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: ["ignore", 1, 2] });
  t.after(async () => {
    child.kill("SIGQUIT");
    await once(child, "exit");
    rmSync(folder, { recursive: true });
  });
  const url = `http://127.0.0.1:${port}`;
  await until("nginx to serve", 5_000, () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return url;
}

test(
  "parts are asked for once however many watch, and no viewer gets another's token",
  { timeout: 60_000 },
  async (t) => {
    const clip = await makeClip({ seconds: 6 });
    const open = loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 });
    const edges = await Promise.all([1, 2].map(() => startLlHlsNode({ open, secret })));
    for (const edge of edges) t.after(() => edge.close());
    for (const edge of edges) await (await fetch(`${edge.baseUrl}/app/stream/llhls.m3u8`)).text();
    const base = `${await startNginx(
      t,
      edges.map(({ baseUrl }) => baseUrl),
    )}/app/stream`;
    const caches = { hits: 0, all: 0, missed: [] as string[], leaks: [] as string[] };
    const tokens = new Set<string>();
    /** Watches for three reloads, as players do. */
    const watch = async (): Promise<void> => {
      const master = await (await fetch(`${base}/llhls.m3u8`)).text();
      const [uri, token] = /^chunklist_0_video\S+session=(\S+)/m.exec(master)!;
      if (tokens.has(token!)) caches.leaks.push(`the token ${token} was given twice`);
      tokens.add(token!);
      let asked = `${base}/${uri}`;
      const seen = new Set<string>();
      for (let reload = 0; reload < 4; reload++) {
        const answer = await fetch(asked);
        const text = await answer.text();
        assert.equal(answer.status, 200, text);
        const lines = text.split("\n");
        const parts = [...text.matchAll(/EXT-X-PART:[^\n]*URI="([^"]+)"/g)].slice(-6).map(([, part]) => part!);
        for (const part of parts.filter((name) => !seen.has(name))) {
          seen.add(part);
          const got = await fetch(`${base}/${part}`);
          await got.arrayBuffer();
          assert.equal(got.status, 200);
          caches.all++;
          if (got.headers.get("x-cache") === "HIT") caches.hits++;
          else caches.missed.push(part);
        }
        const wholes = lines.filter((line) => line.startsWith("seg_")).length;
        const first = Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)![1]);
        const open = lines.slice(lines.findLastIndex((line) => line.startsWith("seg_")));
        const next = open.filter((line) => line.startsWith("#EXT-X-PART:")).length;
        asked = `${base}/${uri}&_HLS_msn=${first + wholes}&_HLS_part=${next}`;
      }
    };
    await Promise.all(Array.from({ length: viewers }, watch));
    t.diagnostic(JSON.stringify({ hits: caches.hits, all: caches.all, tokens: tokens.size }));
    assert.deepEqual(caches.leaks, []);
    assert.equal(tokens.size, viewers);
    assert.equal(new Set(caches.missed).size, caches.missed.length, "a part was asked for twice");
    // What all of them have in their playlist by now costs the edges nothing.
    const sentBefore = edges.map(({ guest }) => guest.stats.egressBytes);
    for (let viewer = 0; viewer < viewers; viewer++) {
      for (const part of caches.missed.slice(-20)) {
        const got = await fetch(`${base}/${part}`);
        await got.arrayBuffer();
        caches.all++;
        if (got.headers.get("x-cache") === "HIT") caches.hits++;
      }
    }
    assert.deepEqual(
      edges.map(({ guest }) => guest.stats.egressBytes),
      sentBefore,
    );
    assert.ok(caches.hits >= 0.95 * caches.all, `${caches.hits} of ${caches.all}`);
    // Without a token nothing but files is given out, and a cache changes nothing about it.
    const master = await (await fetch(`${base}/llhls.m3u8`)).text();
    const [uri] = /^chunklist_0_video[^?\n]+/m.exec(master)!;
    assert.equal((await fetch(`${base}/${uri}`)).status, 401);
  },
);
