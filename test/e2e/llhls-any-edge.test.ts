// A viewer whose every request goes to another edge, while an edge is restarted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { makeClip, withSubtitles } from "../support/clip.ts";
import { EdgeComparison } from "../support/compare-edges.ts";
import { playerFiles, playInChromium } from "../support/hls-player.ts";
import { startLlHlsNode, type LlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { startRoundRobin } from "../support/round-robin.ts";
import { until } from "../support/until.ts";

const secret = "shared by all edges";

test("hls.js plays without a stall when every request goes to another edge", { timeout: 120_000 }, async (t) => {
  const clip = withSubtitles(await makeClip({ seconds: 10 }));
  const startEdge = async (): Promise<LlHlsNode> => {
    const node = await startLlHlsNode({
      open: loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 }),
      secret,
    });
    t.after(() => node.close());
    return node;
  };
  const first = await startEdge();
  const master = await (await fetch(`${first.baseUrl}/app/stream/llhls.m3u8`)).text();
  const listed = master.split("\n").filter((line) => line.startsWith("chunklist"));
  await until("the first edge to be ahead", 20_000, async () => {
    const playlist = await (await fetch(`${first.baseUrl}/app/stream/${listed[0]}`)).text();
    return playlist.split("\n").filter((line) => line.startsWith("seg_")).length >= 5;
  });
  const second = await startEdge();
  const balancer = await startRoundRobin([first.baseUrl, second.baseUrl], (path, response) => {
    const file = playerFiles(path);
    if (file) response.writeHead(200, { "Content-Type": file.type }).end(file.body);
    return file !== undefined;
  });
  t.after(() => balancer.close());
  const playing = playInChromium(balancer.baseUrl, 20);
  await until("the viewer to have played a while", 30_000, () => balancer.answers.length > 60);
  const third = await startEdge();
  balancer.set(0, third.baseUrl);
  const playback = await playing;
  t.diagnostic(JSON.stringify({ ...playback, requests: balancer.answers.length }));
  assert.deepEqual(
    balancer.answers.filter((answer) => !answer.startsWith("200 ") && !answer.includes("favicon")),
    [],
  );
  assert.deepEqual(playback.errors, []);
  assert.equal(playback.stalls, 0);
  await compareEdges(first, [second, third], master);
  const compared = new EdgeComparison([`${first.baseUrl}/app/stream/`, `${third.baseUrl}/app/stream/`]);
  for (const uri of playlistsIn(master)) await compared.compareNext(uri);
  assert.deepEqual(compared.differences, []);
  assert.ok(
    compared.playlists === 3 && compared.files >= 60,
    `${compared.playlists} playlists, ${compared.files} files compared`,
  );
});

const playlistsIn = (master: string): string[] => [...master.matchAll(/chunklist_[^"\n]+/g)].map(([uri]) => uri);

/** Every whole segment and part that two edges list under one name must have the same bytes. */
async function compareEdges(reference: LlHlsNode, others: readonly LlHlsNode[], master: string): Promise<void> {
  const playlists = playlistsIn(master);
  assert.deepEqual(new Set(playlists.map((uri) => uri.split("_")[2])), new Set(["video", "audio", "subtitle"]));
  const get = async (node: LlHlsNode, uri: string) => fetch(`${node.baseUrl}/app/stream/${uri}`);
  // What an edge never had, it lists as gaps.
  const gap = /#EXT-X-GAP\n#EXTINF.*\n.*\n/g;
  const namesOf = (text: string) =>
    text.replaceAll(gap, "").match(/(?:seg|part|init)_[\w-]+_llhls\.(?:m4s|vtt)/g) ?? [];
  for (const playlist of playlists) {
    const names = new Set(namesOf(await (await get(reference, playlist)).text()));
    for (const other of others) {
      const shared = namesOf(await (await get(other, playlist)).text()).filter((name) => names.has(name));
      assert.ok(shared.length >= 20, `${shared.length} shared names`);
      for (const name of shared) {
        const [a, b] = await Promise.all([reference, other].map(async (node) => (await get(node, name)).arrayBuffer()));
        const texts = name.endsWith(".vtt") ? [a, b].map((bytes) => Buffer.from(bytes!).toString()) : [];
        assert.ok(Buffer.from(a!).equals(Buffer.from(b!)), [name, ...texts].join("\n"));
      }
    }
  }
}
