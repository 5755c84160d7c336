// A chain of relays over real sockets that moves a given number of samples, with a counter in each.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";
import type { Duplex } from "node:stream";
import { isDeepStrictEqual } from "node:util";
import { serializeCueSample } from "../../media-node/codecs/webvtt.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Stream } from "../../media-node/core/stream.ts";
import type { Track } from "../../media-node/core/track.ts";
import {
  avDescription,
  FedSource,
  openTestNode,
  portOf,
  until,
  videoIndex,
  videoSample,
  type TestNode,
} from "./ovt-kit.ts";

export interface ChainResult {
  /** Pictures. */
  readonly samples: number;
  readonly cues: number;
  /** Resident memory at the end of each tenth, in bytes. */
  readonly memory: readonly number[];
  readonly seconds: number;
}

const cam = { vhost: "default", app: "app", stream: "cam" };
/** How far the source may run ahead of the last edge: less than every queue on the way holds. */
const ahead = 2_000;

const subtitleTrack: Track = {
  id: 1_000,
  kind: "subtitle",
  codec: "webvtt",
  name: "subtitle",
  timescale: 1_000,
  bitrate: 0,
  language: "en",
  subtitle: { label: "English", isDefault: true, isAutoSelect: false, isForced: false },
};
/** Pictures from one cue to the next. */
const cueEvery = 50;

/** The `index`th cue, given right before the picture it is shown from; the one before it is still shown. */
function cueSample(index: number): Sample {
  const startMs = (index * cueEvery * 1_000) / 30;
  const times = { pts: Math.floor(startMs), dts: Math.floor(startMs), duration: 3_000 };
  const data = serializeCueSample({ settings: index % 2 === 0 ? "line:10%" : "", text: `cue ${index}` });
  return { trackId: subtitleTrack.id, ...times, isKeyframe: true, data };
}

async function dial(_host: string, port: number): Promise<Duplex> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** Moves `count` pictures and the cues between them from an origin over `hops` connections; throws when one is lost, repeated, reordered or retimed. */
export async function runChain(count: number, hops: number): Promise<ChainResult> {
  const description = { ...avDescription, tracks: [avDescription.tracks[0]!, subtitleTrack] };
  const fed = new FedSource(description);
  const nodes: TestNode[] = [openTestNode("node-0", { fed: { cam: fed } })];
  const servers: Server[] = [];
  try {
    for (let hop = 1; hop <= hops; hop++) {
      const { publisher } = nodes.at(-1)!;
      const server = createServer({ noDelay: true }, (socket) => publisher.accept(socket, "127.0.0.1"));
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      servers.push(server);
      const rules = { "app/cam": [`ovt://127.0.0.1:${portOf(server)}/app/cam`] };
      nodes.push(openTestNode(`node-${hop}`, { dial, rules }));
    }
    const result = await nodes.at(-1)!.hub.acquire(cam, { protocol: "whep" });
    assert.ok(result.kind === "stream");
    const { stream } = result.hold;
    assert.deepEqual(
      stream.description.path,
      nodes.slice(0, -1).map(({ nodeId }) => nodeId),
    );
    assert.equal(stream.description.originId, avDescription.originId);
    assert.equal(stream.description.epochMs, avDescription.epochMs);
    assert.deepEqual(stream.description.tracks[1], subtitleTrack);
    return await pump(fed, stream, count);
  } finally {
    for (const node of nodes.toReversed()) await node.close();
    for (const server of servers) server.close();
  }
}

async function pump(fed: FedSource, stream: Stream, count: number): Promise<ChainResult> {
  let received = 0;
  let cues = 0;
  let wrong: string | undefined;
  const takeCue = ({ data, ...times }: Sample): void => {
    const { data: wanted, ...expected } = cueSample(cues++);
    const isSame = isDeepStrictEqual(times, expected) && Buffer.from(wanted).equals(data);
    if (!isSame || received !== (cues - 1) * cueEvery)
      wrong ??= `${Buffer.from(data).toString()} at ${times.pts} came as cue ${cues - 1} before picture ${received}`;
  };
  stream.addReader({
    onSample(sample) {
      if (sample.trackId === subtitleTrack.id) return takeCue(sample);
      if (videoIndex(sample) !== received || sample.dts !== received * 3000) {
        wrong ??= `sample ${videoIndex(sample)} at ${sample.dts} came as number ${received}`;
      }
      received++;
    },
    onEnd: () => (wrong ??= "the stream ended"),
  });
  const memory: number[] = [];
  const startMs = performance.now();
  for (let sent = 0; sent < count;) {
    for (const to = Math.min(count, received + ahead); sent < to; sent++)
      fed.push(...(sent % cueEvery === 0 ? [cueSample(sent / cueEvery)] : []), videoSample(sent, 100));
    await until(() => received > sent - ahead / 2 || received === count || wrong !== undefined, "the chain moves");
    if (wrong !== undefined) throw new Error(wrong);
    if (memory.length < Math.floor((received * 10) / count)) memory.push(process.memoryUsage.rss());
  }
  await until(() => received >= count || wrong !== undefined, "the last sample");
  assert.equal(wrong, undefined);
  return { samples: received, cues, memory, seconds: (performance.now() - startMs) / 1000 };
}
