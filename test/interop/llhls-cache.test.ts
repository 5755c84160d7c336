// A cache in front of two edges: what it may keep it keeps, and what is one viewer's it gives to nobody else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { NoSuchStream, type OpenSource } from "../../media-node/core/source.ts";
import { makeClip } from "../support/clip.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { until } from "../support/until.ts";

const secret = "shared by all edges";
const viewers = 40;
const parts = 12;

interface Nginx {
  readonly url: string;
  /** All that it wrote so far: its log, and every kept answer with its key. */
  readonly written: () => string;
}

async function startNginx(t: TestContext, edges: readonly string[]): Promise<Nginx> {
  assert.ok(existsSync("/usr/sbin/nginx"), "This test needs nginx: apt-get install nginx-light");
  const folder = mkdtempSync(join(tmpdir(), "hearth-cache-"));
  const reserved = createServer().listen(0, "127.0.0.1");
  await once(reserved, "listening");
  const { port } = reserved.address() as { port: number };
  reserved.close();
  await once(reserved, "close");
  const temporary = ["client_body", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`);
  const own = readFileSync("infra/nginx/llhls-cache.conf", "utf8")
    .replaceAll(/ {2}server 192\.0\.2\.\d+:3333;\n/g, "")
    .replace("  keepalive", `  ${edges.map((edge) => `server ${new URL(edge).host};`).join(" ")}\n  keepalive`)
    .replace("listen 80;", `listen 127.0.0.1:${port};`)
    .replace("/var/log/nginx/hearth.log", `${folder}/access.log`)
    .replace("/var/cache/nginx/hearth", `${folder}/cache`);
  assert.ok(!/192\.0\.2|listen 80|\/var\//.test(own), own);
  writeFileSync(
    join(folder, "nginx.conf"),
    `${process.getuid?.() === 0 ? "user root;" : ""} worker_processes 1; daemon off; pid ${folder}/pid; error_log stderr error;
events { worker_connections 1024; }
http { ${temporary.join(" ")} proxy_temp_path ${folder}/proxy;
${own}
}`,
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
  const written = (): string =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && (entry.name === "access.log" || entry.parentPath.includes("/cache")))
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"))
      .join("\n");
  return { url, written };
}

test(
  "parts are asked for once however many watch, and no viewer gets another's token",
  { timeout: 60_000 },
  async (t) => {
    const clip = await makeClip({ seconds: 6 });
    const open = loopingSource(clip, {
      epochMs: hearthEpochMs,
      burstMs: 10_000,
    });
    const edges = await Promise.all([1, 2].map(() => startLlHlsNode({ open, secret })));
    for (const edge of edges) t.after(() => edge.close());
    for (const edge of edges) await (await fetch(`${edge.baseUrl}/app/stream/llhls.m3u8`)).text();
    const nginx = await startNginx(
      t,
      edges.map(({ baseUrl }) => baseUrl),
    );
    const base = `${nginx.url}/app/stream`;
    const seen = {
      hits: 0,
      all: 0,
      missed: [] as string[],
      tokens: new Set<string>(),
    };
    const begin = async (): Promise<string> => {
      const master = await (await fetch(`${base}/llhls.m3u8`)).text();
      const [uri, token] = /^chunklist_0_video\S+session=(\S+)/m.exec(master)!;
      assert.ok(!seen.tokens.has(token!), `the token ${token} was given twice`);
      seen.tokens.add(token!);
      return `${base}/${uri}`;
    };
    const load = async (part: string): Promise<void> => {
      const got = await fetch(`${base}/${part}`);
      await got.arrayBuffer();
      assert.equal(got.status, 200);
      seen.all++;
      if (got.headers.get("x-cache") === "HIT") seen.hits++;
      else seen.missed.push(part);
    };
    const urls = await Promise.all(Array.from({ length: viewers }, begin));
    const first = nextOf(await (await fetch(urls[0]!)).text());
    /** Watches the same twelve parts as everybody else, as they appear; each second viewer asks for them while they are hinted at. */
    const watch = async (url: string, index: number): Promise<void> => {
      let { msn, part } = first;
      for (let count = 0; count < parts;) {
        const answer = await fetch(`${url}&_HLS_msn=${msn}&_HLS_part=${part}`);
        const text = await answer.text();
        assert.equal(answer.status, 200, text);
        assert.deepEqual(
          [...new Set(text.match(/session=\S+?(?=["\n&])/g))],
          [],
          "a playlist that many get names a viewer",
        );
        const fresh = [...text.matchAll(/EXT-X-PART:[^\n]*URI="(part_\d+_(\d+)_(\d+)_[^"]+)"/g)].filter(
          ([, , inSegment, at]) => Number(inSegment) > msn || (Number(inSegment) === msn && Number(at) >= part),
        );
        for (const [, name] of fresh.slice(0, parts - count)) await load(name!);
        count += fresh.length;
        ({ msn, part } = nextOf(text));
        const hint = /PRELOAD-HINT:TYPE=PART,URI="([^"]+)"/.exec(text)![1]!;
        if (index % 2 === 0 && count < parts) await load(hint);
      }
    };
    await Promise.all(urls.map(watch));
    const live = seen.hits / seen.all;
    t.diagnostic(
      JSON.stringify({
        live,
        hits: seen.hits,
        all: seen.all,
        tokens: seen.tokens.size,
      }),
    );
    assert.equal(seen.tokens.size, viewers);
    assert.equal(new Set(seen.missed).size, seen.missed.length, "a part was asked for twice");
    assert.ok(live >= 0.95, `${seen.hits} of ${seen.all} came from the cache`);
    // What all of them have in their playlist by now costs the edges nothing.
    const sentBefore = edges.map(({ guest }) => guest.stats.egressBytes);
    for (let viewer = 0; viewer < viewers; viewer++) {
      for (const part of seen.missed) await load(part);
    }
    assert.deepEqual(
      edges.map(({ guest }) => guest.stats.egressBytes),
      sentBefore,
    );
    // Without a token nothing but files is given out, and a cache changes nothing about it.
    const master = await (await fetch(`${base}/llhls.m3u8`)).text();
    const [uri] = /^chunklist_0_video[^?\n]+/m.exec(master)!;
    assert.equal((await fetch(`${base}/${uri}`)).status, 401);
    const written = nginx.written();
    assert.ok(written.includes(`"GET /app/stream/${uri} `) && written.includes(`KEY: /app/stream/${seen.missed[0]}`));
    assert.deepEqual(
      [...seen.tokens].filter((token) => written.includes(token)),
      [],
      "nginx wrote a token down",
    );
  },
);

test(
  "a token that has run out opens no playlist, on any edge; files that are kept stay with who knows them",
  { timeout: 30_000 },
  async (t) => {
    const clip = await makeClip({ seconds: 6 });
    const open = loopingSource(clip, {
      epochMs: hearthEpochMs,
      burstMs: 10_000,
    });
    const admit = async () => ({ isAdmitted: true, endsAtMs: Date.now() + 3_000 }) as const;
    const edges = await Promise.all([1, 2].map(() => startLlHlsNode({ open, secret, admit })));
    for (const edge of edges) t.after(() => edge.close());
    for (const edge of edges) await (await fetch(`${edge.baseUrl}/app/stream/llhls.m3u8`)).text();
    const { url } = await startNginx(
      t,
      edges.map(({ baseUrl }) => baseUrl),
    );
    const base = `${url}/app/stream`;
    const statusOf = async (of: string): Promise<number> => {
      const answer = await fetch(of);
      await answer.arrayBuffer();
      return answer.status;
    };
    const [uri] = /^chunklist_0_video\S+/m.exec(await (await fetch(`${base}/llhls.m3u8`)).text())!;
    const playlist = await (await fetch(`${base}/${uri}`)).text();
    const part = [...playlist.matchAll(/EXT-X-PART:[^\n]*URI="([^"]+)"/g)].at(-1)![1]!;
    assert.equal(await statusOf(`${base}/${part}`), 200);
    await until("the token to run out", 10_000, async () => (await statusOf(`${base}/${uri}`)) === 401);
    for (const { baseUrl } of edges) assert.equal(await statusOf(`${baseUrl}/app/stream/${uri}`), 401);
    const kept = await fetch(`${base}/${part}`);
    await kept.arrayBuffer();
    assert.deepEqual([kept.status, kept.headers.get("x-cache")], [200, "HIT"]);
  },
);

test("what is answered while a stream is away does not outlive that in the cache", { timeout: 30_000 }, async (t) => {
  const clip = await makeClip({ seconds: 6 });
  const play = loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 });
  let isThere = false;
  const open: OpenSource = (...asked) => (isThere ? play(...asked) : Promise.reject(new NoSuchStream("not yet begun")));
  const edges = await Promise.all(
    [1, 2].map(() => startLlHlsNode({ open, config: { segmentMs: 1_000, holdLimits: { perSession: 0 } } })),
  );
  for (const edge of edges) t.after(() => edge.close());
  const nginx = await startNginx(
    t,
    edges.map(({ baseUrl }) => baseUrl),
  );
  const ask = async (file: string) => {
    const answer = await fetch(`${nginx.url}/app/stream/${file}`);
    return { status: answer.status, text: await answer.text() };
  };
  assert.equal((await ask("llhls.m3u8")).status, 404);
  isThere = true;
  const { text: master } = await until("the stream", 5_000, async () => {
    const answer = await ask("llhls.m3u8");
    return answer.status === 200 ? answer : undefined;
  });
  for (const edge of edges) await (await fetch(`${edge.baseUrl}/app/stream/llhls.m3u8`)).text();
  const [video] = /^chunklist_0_video\S+/m.exec(master)!;
  const list = (await ask(video)).text;
  const { msn, part } = nextOf(list);
  const blocking = `${video}&_HLS_msn=${msn}&_HLS_part=${part + 2}`;
  for (let times = 0; times < 2; times++) {
    assert.equal((await ask(blocking)).status, 503);
  }
  await until("nginx to write that neither came from the cache", 5_000, () => {
    return nginx.written().split('" 503 0 MISS').length === 3;
  });
  const [known] = /part_0_\d+_\d+_video_\w+_llhls\.m4s/.exec(list)!;
  const future = known.replace(/_0_\d+_\d+_/, `_0_${msn + 2}_0_`);
  assert.equal((await ask(future)).status, 404);
  await until("the part, where a moment ago there was none", 8_000, async () => (await ask(future)).status === 200);
});

/** The part that comes next. */
function nextOf(playlist: string): { msn: number; part: number } {
  const [, msn, part] = /PRELOAD-HINT:TYPE=PART,URI="part_\d+_(\d+)_(\d+)_/.exec(playlist)!;
  return { msn: Number(msn), part: Number(part) };
}
