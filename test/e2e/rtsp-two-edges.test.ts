// Two edges that pull one camera, each by itself: a viewer may go from one to the other between any two requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { OpenSource } from "../../media-node/core/source.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { dialLoopback } from "../support/collect-source.ts";
import { startLlHlsNode, type LlHlsNode } from "../support/llhls-node.ts";
import { startRtspServer } from "../support/rtsp-server.ts";
import { until } from "../support/until.ts";

/** Whole segments and parts that a media playlist lists, oldest first. */
async function namesOf(node: LlHlsNode, playlist: string): Promise<string[]> {
  const text = await (await fetch(`${node.baseUrl}/app/stream/${playlist}`)).text();
  // What an edge never had, it lists as gaps; what it hints at is not there yet.
  const listed = text.replaceAll(/#EXT-X-GAP\n#EXTINF.*\n.*\n/g, "").replaceAll(/#EXT-X-PRELOAD-HINT.*\n/g, "");
  return listed.match(/(?:seg|part)_[\w-]+_llhls\.m4s/g) ?? [];
}

async function bytesOf(node: LlHlsNode, name: string): Promise<Buffer> {
  const response = await fetch(`${node.baseUrl}/app/stream/${name}`);
  assert.equal(response.status, 200, name);
  return Buffer.from(await response.arrayBuffer());
}

test("once a camera's sender reports have come, both edges serve the same parts and segments, byte for byte", async (t) => {
  const camera = await startRtspServer();
  t.after(() => camera.close());
  const pull = openRtspSource({ dial: dialLoopback, clock: systemClock, logger: silentLogger });
  const open: OpenSource = (_url, options) => pull(`rtsp://127.0.0.1:${camera.port}/h264-aac`, options);
  const startEdge = async (): Promise<LlHlsNode> => {
    const edge = await startLlHlsNode({ open, secret: "shared by all edges" });
    t.after(() => edge.close());
    return edge;
  };
  const first = await startEdge();
  const master = await (await fetch(`${first.baseUrl}/app/stream/llhls.m3u8`)).text();
  const playlists = [...new Set(master.match(/chunklist_[^"\n]+/g))];
  assert.equal(playlists.length, 2);
  const second = await startEdge();
  await (await fetch(`${second.baseUrl}/app/stream/llhls.m3u8`)).text();

  /** Names that both list, and those of them whose bytes differ. */
  const compare = async (playlist: string): Promise<{ shared: string[]; different: string[] }> => {
    const listed = new Set(await namesOf(first, playlist));
    const shared = (await namesOf(second, playlist)).filter((name) => listed.has(name));
    const different: string[] = [];
    for (const name of shared) {
      const [a, b] = await Promise.all([bytesOf(first, name), bytesOf(second, name)]);
      if (!a.equals(b)) different.push(name);
    }
    return { shared, different };
  };
  for (const playlist of playlists) {
    // Until both have moved to the camera's clock, what they list differs and grows old.
    const agreed = await until("the edges agree on their latest parts", 40_000, async () => {
      const { shared, different } = await compare(playlist);
      const latest = shared.slice(-8);
      const doAgree = latest.length === 8 && latest.every((name) => !different.includes(name));
      return doAgree ? { shared } : undefined;
    });
    const known = new Set(agreed.shared);
    const wrong = new Set<string>();
    await until("as much again", 20_000, async () => {
      const { shared, different } = await compare(playlist);
      const fresh = shared.filter((name) => !known.has(name));
      for (const name of fresh) if (different.includes(name)) wrong.add(name);
      return fresh.length >= 8;
    });
    assert.deepEqual([...wrong], []);
  }
});
