// What `wrangler deploy` would send: it bundles, knows its bindings, and stays small.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

const wrangler = join(dirname(createRequire(import.meta.url).resolve("wrangler/package.json")), "bin/wrangler.js");

/** A free Worker may have 3 MiB, but every data centre starts it anew: small is quick. */
const maxGzipBytes = 120 * 1024;

test(`wrangler deploys the router, within ${maxGzipBytes / 1024} KiB`, async () => {
  const out = await mkdtemp(join(tmpdir(), "hearth-deploy-"));
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [wrangler, "deploy", "--dry-run", "--env=", "--outdir", out],
      {
        cwd: import.meta.dirname,
        env: { ...process.env, WRANGLER_SEND_METRICS: "false", WRANGLER_LOG_PATH: join(out, "log"), CI: "true" },
        timeout: 60_000,
      },
    );
    assert.match(stdout, /env\.ASSETS/);
    assert.match(stdout, /env\.UPSTASH_REDIS_REST_URL/);
    assert.match(stdout, /env\.PLAYER_SIGNALLING \(PlayerSignalling\)/);
    const gzipBytes = gzipSync(await readFile(join(out, "index.js"))).length;
    assert.ok(gzipBytes <= maxGzipBytes, `the bundle has ${gzipBytes} bytes, gzipped`);
  } finally {
    await rm(out, { recursive: true });
  }
});

test("every environment has the objects: wrangler hands no binding down", async () => {
  const text = await readFile(join(import.meta.dirname, "wrangler.jsonc"), "utf8");
  const config = JSON.parse(text.replace(/^\s*\/\/.*$/gm, "").replace(/,(\s*[}\]])/g, "$1")) as Environment & {
    env: Record<string, Environment>;
    migrations: { new_sqlite_classes: string[] }[];
  };
  for (const { durable_objects: objects } of [config, ...Object.values(config.env)])
    assert.deepEqual(objects, { bindings: [{ name: "PLAYER_SIGNALLING", class_name: "PlayerSignalling" }] });
  assert.deepEqual(
    config.migrations.flatMap(({ new_sqlite_classes: classes }) => classes),
    ["PlayerSignalling"],
  );
});

interface Environment {
  readonly durable_objects: object;
}
