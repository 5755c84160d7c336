import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, dirname, join } from "node:path";
import { repository } from "./command.ts";

const installer = join(repository, "infra/vm/install.sh");

export interface NodeMirror {
  /** For `HEARTH_NODE_DIST`. */
  readonly url: string;
  /** Holds the archive and `SHASUMS256.txt`. */
  readonly folder: string;
  close(): void;
}

/**
 * A folder like nodejs.org/dist/VERSION on loopback, made of the Node.js that runs this and the machine's npm.
 * @param folder empty; stays the caller's
 */
export async function startNodeMirror(folder: string): Promise<NodeMirror> {
  const version = /^node_version=(\S+)$/m.exec(readFileSync(installer, "utf8"))![1]!;
  const name = `node-${version}-linux-${process.arch === "arm64" ? "arm64" : "x64"}`;
  const bin = join(folder, name, "bin");
  mkdirSync(bin, { recursive: true });
  cpSync(process.execPath, join(bin, "node"));
  const npm = spawnSync("sh", ["-c", 'readlink -f "$(command -v npm)"'], { encoding: "utf8" }).stdout.trim();
  assert.ok(npm.endsWith("/bin/npm-cli.js"), `npm's own folder: ${npm}`);
  cpSync(dirname(dirname(npm)), join(folder, name, "lib/node_modules/npm"), { recursive: true });
  writeFileSync(
    join(bin, "npm"),
    '#!/bin/sh\nexec "$(dirname "$0")/node" "$(dirname "$0")/../lib/node_modules/npm/bin/npm-cli.js" "$@"\n',
    { mode: 0o755 },
  );
  const archive = join(folder, `${name}.tar.xz`);
  // Level 0: nobody waits for good compression here.
  const packed = spawnSync("tar", ["-C", folder, "-I", "xz -0 -T2", "-cf", archive, name], { encoding: "utf8" });
  assert.equal(packed.status, 0, packed.stderr);
  const sum = createHash("sha256").update(readFileSync(archive)).digest("hex");
  writeFileSync(join(folder, "SHASUMS256.txt"), `${sum}  ${name}.tar.xz\n`);
  const server = createServer((request, response) => {
    const file = join(folder, basename(request.url ?? ""));
    if (existsSync(file) && statSync(file).isFile()) response.end(readFileSync(file));
    else response.writeHead(404).end();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  return { url: `http://127.0.0.1:${port}`, folder, close: () => void server.close() };
}

/** Runs `infra/vm/install.sh` into `root` as if that were a machine's file system. */
export async function runInstaller(root: string, mirror: NodeMirror): Promise<{ code: number; words: string }> {
  const child = spawn("sh", [installer], {
    env: { ...process.env, DESTDIR: root, HEARTH_NODE_DIST: mirror.url },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let words = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (words += text));
  const [code] = (await once(child, "close")) as [number];
  return { code, words };
}
