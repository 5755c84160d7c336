// Server.xml changes under those who watch: they notice nothing.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { makeCertificate } from "../support/certificate.ts";
import { RunningCommand } from "../support/command.ts";
import { forkNode, nodeEnv, nodeMain, type ForkedNode } from "../support/forked-node.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { FrameCount, serverXml, startReloadNode } from "../support/reload-node.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

/** A folder of this test's own. */
function scratch(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "hearth-reload-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A number that a node tells of its configuration. */
async function configMetric({ ask }: ForkedNode, name: string): Promise<number> {
  return Number(new RegExp(`^hearth_config_${name} (\\S+)$`, "m").exec(await (await ask("/metrics")).text())?.[1]);
}

test("1,000 rules are reloaded ten times without a frame lost, by either protocol", { timeout: 60_000 }, async (t) => {
  await using running = await startReloadNode(serverXml(1_000, 0));
  const { node, write } = running;
  const stream = `${node.url}/app/watched`;
  const hls = new HlsViewer(`${stream}/llhls.m3u8`);
  t.after(() => hls.close());
  await until("LL-HLS plays", 20_000, () => hls.node !== undefined);
  const whep = new WhepViewer(`${stream}/whep`);
  t.after(() => whep.close());
  await until("WebRTC plays", 20_000, () => whep.packets > 0);
  const frames = new FrameCount();
  const live = node.hub.list()[0]!.stream;
  live.addReader(frames);
  for (let variant = 1; variant <= 10; variant++) {
    write(serverXml(1_000, variant));
    const outcome = await node.reload("test");
    assert.deepEqual([outcome?.isTaken, outcome?.generation, outcome?.needRestart], [true, variant + 1, []]);
    const [seen, packets, requests] = [frames.frames, whep.packets, hls.requests];
    await until("media after the reload", 10_000, () => {
      return frames.frames > seen + 10 && whep.packets > packets && hls.requests > requests;
    });
  }
  assert.deepEqual(frames.breaks, []);
  assert.deepEqual([...hls.failures, ...whep.failures], []);
  assert.equal(whep.nodes.length, 1, "the session is the one it began with");
  assert.equal(node.hub.list()[0]!.stream, live);
  t.diagnostic(JSON.stringify({ frames: frames.frames, hlsGapMs: hls.longestGapMs, whepGapMs: whep.longestGapMs }));
});

test(
  "a rule that is gone pulls nobody new, and its stream goes on while it is watched",
  { timeout: 60_000 },
  async () => {
    await using running = await startReloadNode(serverXml(2, 0));
    const { node, write } = running;
    const name = { vhost: "default", app: "app", stream: "watched" };
    const held = await node.hub.acquire(name, { protocol: "llhls" });
    assert.equal(held.kind, "stream");
    write(serverXml(2, 0).replace("/app/watched", "/app/elsewhere"));
    assert.equal((await node.reload("test"))?.isTaken, true);
    assert.ok(node.hub.find(name), "who watches goes on");
    const renamed = await node.hub.acquire({ ...name, stream: "elsewhere" }, { protocol: "llhls" });
    assert.equal(renamed.kind, "stream", "the new rule is used");
    const unknown = await node.hub.acquire({ ...name, stream: "watched-2" }, { protocol: "llhls" });
    assert.equal(unknown.kind, "not-found");
  },
);

test(
  "SIGHUP and POST /-/reload read the file again; a wrong one is refused with its place",
  { timeout: 60_000 },
  async (t) => {
    const path = join(scratch(t), "Server.xml");
    writeFileSync(path, serverXml(2, 0));
    const node = await forkNode(t, path);
    const metric = (name: string): Promise<number> => configMetric(node, name);
    writeFileSync(path, serverXml(3, 1));
    node.child.kill("SIGHUP");
    await until("the signal is followed", 10_000, async () => (await metric("generation")) === 2);

    const post = (init: RequestInit = {}) => node.ask("/-/reload", { method: "POST", ...init });
    assert.equal((await post({ headers: { authorization: "Bearer other" } })).status, 401);
    writeFileSync(path, serverXml(3, 1).replace("<Location>", "\n<Locatoin>").replace("</Location>", "</Locatoin>"));
    const refused = await post();
    assert.equal(refused.status, 422);
    const { isTaken, generation, errors } = (await refused.json()) as {
      isTaken: boolean;
      generation: number;
      errors: { code: string; file: string; line: number; path: string; remedy: string }[];
    };
    assert.deepEqual([isTaken, generation], [false, 2]);
    const typo = errors.find(({ code }) => code === "unknown-element");
    assert.ok(typo && typo.file === path && typo.line > 1 && typo.path.endsWith("/Locatoin"), JSON.stringify(errors));
    assert.equal(typo.remedy, "Did you mean <Location>?");
    assert.equal(await metric("last_reload_successful"), 0);

    writeFileSync(path, serverXml(3, 2).replace("<Port>0</Port></LLHLS>", "<Port>1</Port></LLHLS>"));
    const taken = await post();
    assert.equal(taken.status, 200);
    const { needRestart } = (await taken.json()) as { needRestart: string[] };
    assert.deepEqual(needRestart, ["Server/Bind/Publishers/LLHLS"]);
    assert.deepEqual([await metric("generation"), await metric("last_reload_successful")], [3, 1]);

    const args = [nodeMain, "reload", "--port", String(node.operatorPort)];
    const command = new RunningCommand(process.execPath, args, { env: nodeEnv });
    assert.deepEqual(await command.exit, { code: 0, signal: null });
    assert.match(command.stdout, /^nothing changed$/m);
    assert.match(command.stdout, /^Configuration 4 is in force\.$/m);
  },
);

/** A certificate's fingerprint, and a connection that goes on with it. */
async function secureConnection(t: TestContext, url: string): Promise<{ socket: TLSSocket; fingerprint: string }> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), servername: "edge.example", rejectUnauthorized: false });
  t.after(() => socket.destroy());
  await once(socket, "secureConnect");
  return { socket, fingerprint: socket.getPeerCertificate().fingerprint256 };
}

/** Asks over a connection that stays open. @returns the status line */
async function askAgain(socket: TLSSocket): Promise<string> {
  socket.write("GET /-/nothing HTTP/1.1\r\nHost: edge.example\r\n\r\n");
  const [answer] = (await once(socket, "data")) as [Buffer];
  return answer.toString("latin1").split("\r\n")[0]!;
}

test("a renewed certificate is shown after SIGHUP, and who is connected stays so", { timeout: 60_000 }, async (t) => {
  const folder = scratch(t);
  const config = join(folder, "Server.xml");
  const { certPath, keyPath } = makeCertificate(folder, "edge.example");
  const names = "<Host><Names><Name>*</Name></Names>";
  const tls = `<TLS><CertPath>${certPath}</CertPath><KeyPath>${keyPath}</KeyPath></TLS></Host>`;
  const text = serverXml(1, 0)
    .replace(`${names}</Host>`, names + tls)
    .replace("<LLHLS><Port>0</Port>", "<LLHLS><Port>0</Port><TLSPort>0</TLSPort>");
  writeFileSync(config, text);
  const logs: string[] = [];
  const node = await forkNode(t, config, "pipe");
  const { child, tlsUrl } = node;
  child.stdout!.setEncoding("utf8").on("data", (text: string) => logs.push(text));
  const first = await secureConnection(t, tlsUrl!);
  assert.match(await askAgain(first.socket), /^HTTP\/1\.1 404/);

  const other = makeCertificate(folder, "renewed.example");
  const renewed = new X509Certificate(readFileSync(other.certPath)).fingerprint256;
  assert.notEqual(renewed, first.fingerprint);
  copyFileSync(other.certPath, certPath);
  child.kill("SIGHUP");
  // A certificate without its key is half a renewal: nothing changes, and the log says why.
  await until("it is refused", 10_000, () =>
    /cannot be used:.*edge\.example\.key are a certificate/.test(logs.join("")),
  );
  assert.equal((await secureConnection(t, tlsUrl!)).fingerprint, first.fingerprint);

  copyFileSync(other.keyPath, keyPath);
  child.kill("SIGHUP");
  await until("it is taken", 10_000, async () => (await configMetric(node, "generation")) === 2);
  assert.equal((await secureConnection(t, tlsUrl!)).fingerprint, renewed);
  assert.match(await askAgain(first.socket), /^HTTP\/1\.1 404/);
});
