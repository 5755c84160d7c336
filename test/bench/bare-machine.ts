// How long from a bare machine to the first served viewer, and how heavy is what a node needs? By the installer, mirrors
// of Node.js and npm at hand, until a part of the looping clip has been read. Wanted: 120 s; a container of 150 MB compressed.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runInstaller, startNodeMirror } from "../support/bare-machine.ts";
import { repository } from "../support/command.ts";
import { until } from "../support/until.ts";

const wantedS = 120;
const wantedMb = 150;
/** Debian's own image (debian:12-slim), compressed. */
const baseImageMb = 29;

const scratch = mkdtempSync(join(tmpdir(), "hearth-bare-"));
const mirror = await startNodeMirror(join(scratch, "mirror"));
const root = join(scratch, "root");
mkdirSync(root);
const startMs = performance.now();
const { code, words } = await runInstaller(root, mirror);
assert.equal(code, 0, words);
const installedMs = performance.now();

const clip = join(repository, "infra/laptop/loop.mp4");
const config = join(scratch, "Server.xml");
const rule = `<Origin><Location>/app/stream</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin>`;
writeFileSync(
  config,
  readFileSync(join(root, "etc/hearth/Server.xml"), "utf8")
    .replaceAll("<Port>3333</Port>", "<Port>0</Port>")
    .replace("*:10000/udp", "*:0/udp")
    .replace("<OperatorPort>9099", "<OperatorPort>0")
    .replace("</Properties>", `</Properties>${rule}`),
);
const home = join(root, "opt/hearth");
const node = spawn(join(home, "node/bin/node"), [join(home, "media-node/main.ts"), "node", "--config", config], {
  env: { PATH: "/usr/bin:/bin", HEARTH_NODE_ID: "bare", REDIS_URL: "redis://127.0.0.1:1" },
  stdio: ["ignore", "ignore", "inherit", "ipc"],
});
try {
  const [{ url }] = (await once(node, "message", { signal: AbortSignal.timeout(30_000) })) as [{ url: string }];
  const base = new URL("/app/stream/", url);
  base.hostname = "127.0.0.1";
  const read = async (path: string): Promise<string> => {
    const answer = await fetch(new URL(path, base));
    assert.equal(answer.status, 200, path);
    return answer.text();
  };
  const master = await read("llhls.m3u8");
  const media = /^[^#\s]\S*\.m3u8\S*$/m.exec(master)![0];
  const bytes = await until("a part of the stream", 10_000, async () => {
    const part = [...(await read(media)).matchAll(/#EXT-X-PART:.*URI="([^"]+)"/g)].at(-1)?.[1];
    return part === undefined ? undefined : (await read(part)).length;
  });
  assert.ok(bytes > 1_000);
} finally {
  node.kill("SIGKILL");
}
const servedMs = performance.now();

const packed = spawnSync(
  "sh",
  ["-c", `tar -C "${home}" --exclude=node/lib --exclude=node/include -c . | gzip -6 | wc -c`],
  {
    encoding: "utf8",
  },
);
const imageMb = baseImageMb + Number(packed.stdout) / 1e6;
mirror.close();
rmSync(scratch, { recursive: true });
const totalS = (servedMs - startMs) / 1_000;
console.log(
  `bare-machine: ${totalS.toFixed(1)} s to the first viewer's first part (installer ${((installedMs - startMs) / 1_000).toFixed(1)} s), ` +
    `${(totalS / wantedS).toFixed(2)} of what is allowed; image about ${imageMb.toFixed(0)} MB compressed (wanted: ${wantedMb})`,
);
