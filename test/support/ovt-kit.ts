// What tests of the OVT room share: a hub with a stream that the test feeds, and connections in memory.
import type { Server } from "node:net";
import { duplexPair, type Duplex } from "node:stream";
import { serializeAacConfig } from "../../media-node/codecs/aac.ts";
import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import { avcConfigOf, serializeAvcConfig } from "../../media-node/codecs/h264.ts";
import type { PullPlan } from "../../media-node/core/pull-plan.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { NoSuchStream, type OpenSource, type SourceSink } from "../../media-node/core/source.ts";
import { StreamHub, type StreamHubOptions, type StreamRequest } from "../../media-node/core/stream-hub.ts";
import type { StreamName } from "../../media-node/core/stream-name.ts";
import type { StreamDescription } from "../../media-node/core/stream.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openOvtSource, type OvtSourceOptions } from "../../media-node/ovt/ovt-source.ts";
import { OvtPublisher, type OvtPublisherOptions } from "../../media-node/ovt/ovt-publisher.ts";
import { systemClock, type Clock } from "../../media-node/time/clock.ts";

export const sps = Uint8Array.from(Buffer.from("6742c01fda014016e4", "hex"));
export const pps = Uint8Array.from(Buffer.from("68ce3880", "hex"));

/** H.264 1280×720 in 1/90000 and AAC 48 kHz stereo. */
export const avDescription: StreamDescription = {
  tracks: [
    {
      id: 0,
      kind: "video",
      codec: "h264",
      name: "Video",
      timescale: 90_000,
      bitrate: 0,
      video: { width: 1280, height: 720, framerate: 0 },
      decoderConfig: serializeAvcConfig(avcConfigOf([sps], [pps])),
    },
    {
      id: 1,
      kind: "audio",
      codec: "aac",
      name: "Audio",
      timescale: 48_000,
      bitrate: 128_000,
      audio: { sampleRate: 48_000, channels: 2 },
      decoderConfig: serializeAacConfig({ objectType: 2, sampleRate: 48_000, channels: 2 }),
    },
  ],
  playlists: [
    {
      name: "default",
      fileName: "master",
      webrtcAutoAbr: true,
      hlsChunklistPathDepth: -1,
      enableTsPackaging: false,
      renditions: [
        { name: "720p", videoTrackName: "Video", audioTrackName: "Audio", videoIndexHint: -1, audioIndexHint: -1 },
      ],
    },
  ],
  epochMs: 1_700_000_000_000,
  isEpochShared: true,
  originId: "camera-1",
  path: [],
};

/** The `index`th frame at 30 frames per second; every 30th is a key frame. Its number stands in its bytes. */
export function videoSample(index: number, size = 200): Sample {
  const isKeyframe = index % 30 === 0;
  const slice = new Uint8Array(size).fill(0x55);
  slice[0] = isKeyframe ? 0x65 : 0x41;
  // Seven bits a byte and never zero, so that no start code comes about.
  for (let i = 0; i < 5; i++) slice[1 + i] = 0x80 | ((index >> (7 * i)) & 0x7f);
  const data = joinAnnexB(isKeyframe ? [sps, pps, slice] : [slice]);
  return { trackId: 0, pts: index * 3000, dts: index * 3000, duration: 3000, isKeyframe, data };
}

/** Reads back what {@link videoSample} wrote. */
export function videoIndex(sample: Sample): number {
  const slice = sample.data.indexOf(sample.isKeyframe ? 0x65 : 0x41, sample.isKeyframe ? 20 : 0);
  let index = 0;
  for (let i = 0; i < 5; i++) index |= (sample.data[slice + 1 + i]! & 0x7f) << (7 * i);
  return index;
}

export function audioSample(index: number): Sample {
  const data = Uint8Array.of(0x21, index & 0xff, (index >> 8) & 0xff, 0x19);
  return { trackId: 1, pts: index * 1024, dts: index * 1024, duration: 1024, isKeyframe: true, data };
}

/** A source whose samples come from the test. */
export class FedSource {
  readonly description: StreamDescription;
  #sink: SourceSink | undefined;
  #isEnded = false;
  opened = 0;
  isClosed = false;

  constructor(description: StreamDescription = avDescription) {
    this.description = description;
  }

  readonly open: OpenSource = async () => {
    this.opened++;
    if (this.#isEnded) throw new NoSuchStream("the source has ended");
    return {
      description: this.description,
      start: (sink) => void (this.#sink = sink),
      close: async () => void (this.isClosed = true),
    };
  };

  push(...samples: readonly Sample[]): void {
    for (const sample of samples) this.#sink?.onSample(sample);
  }

  describe(description: StreamDescription): void {
    this.#sink?.onDescription(description);
  }

  /** Over, and not to be had again. */
  end(): void {
    this.#isEnded = true;
    this.#sink?.onEnd({ code: "source-ended" });
  }
}

export const patientPlan: Omit<PullPlan, "urls"> = {
  from: "rule",
  noInputTimeoutMs: 60_000,
  unusedTimeoutMs: 60_000,
  graceMs: 0,
  retryCount: 0,
  isPersistent: false,
};

export interface TestNode {
  readonly nodeId: string;
  readonly hub: StreamHub;
  readonly publisher: OvtPublisher;
  readonly clock: Clock;
  close(): Promise<void>;
}

type PlanWatcher = (name: StreamName, request: StreamRequest) => void;

export interface TestNodeOptions {
  readonly clock?: Clock;
  /** `app/stream` → URLs it is pulled from. */
  readonly rules?: Readonly<Record<string, readonly string[]>>;
  /** Streams fed by the test, pulled as `fed://NAME`. */
  readonly fed?: Readonly<Record<string, FedSource>>;
  /** Host part of `ovt://` URLs → the node that listens there; a pair of streams in memory connects them. */
  readonly peers?: () => Readonly<Record<string, TestNode>>;
  readonly dial?: OvtSourceOptions["dial"];
  readonly plan?: Partial<PullPlan>;
  /** Told of every pull that is planned. */
  readonly onPlan?: PlanWatcher;
  readonly publisher?: Partial<OvtPublisherOptions>;
  readonly source?: Partial<OvtSourceOptions>;
  readonly recentMs?: number;
}

/** A whole node as far as OVT goes: hub, publisher, and openers for `ovt` and `fed`. */
export function openTestNode(nodeId: string, options: TestNodeOptions = {}): TestNode {
  const clock = options.clock ?? systemClock;
  const { fed = {}, rules = {} } = options;
  const openFed: OpenSource = async (url, context) => {
    const source = fed[url.slice("fed://".length)];
    if (!source) throw new NoSuchStream(`nobody feeds ${url}`);
    return source.open(url, context);
  };
  const dialPeer = async (host: string): Promise<Duplex> => {
    const peer = options.peers?.()[host];
    if (!peer) throw new Error(`no node listens at ${host}`);
    const [near, far] = duplexPair();
    // As with sockets, one end that is gone ends the other, after what it sent has come.
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      end.once("close", () => setImmediate(() => other.destroy()));
    }
    peer.publisher.accept(far, "127.0.0.1");
    return near;
  };
  const openOvt = openOvtSource({
    dial: options.dial ?? dialPeer,
    clock,
    logger: silentLogger,
    nodeId,
    ...options.source,
  });
  const hubOptions: StreamHubOptions = {
    clock,
    logger: silentLogger,
    nodeId,
    openers: new Map([
      ["fed", openFed],
      ["ovt", openOvt],
      ["ovts", openOvt],
    ]),
    plan: async (name, request) => {
      const { app, stream } = name;
      options.onPlan?.(name, request);
      const urls = rules[`${app}/${stream}`] ?? (fed[stream] ? [`fed://${stream}`] : undefined);
      if (!urls) return { kind: "not-found", reason: "no rule" };
      return { ...patientPlan, ...options.plan, urls };
    },
    ...(options.recentMs !== undefined && { recentMs: options.recentMs }),
  };
  const hub = new StreamHub(hubOptions);
  const publisher = new OvtPublisher({
    hub,
    resolveVhost: (host) => (host === "elsewhere" ? undefined : "default"),
    clock,
    logger: silentLogger,
    nodeId,
    serverId: `server-of-${nodeId}`,
    ...options.publisher,
  });
  const close = async (): Promise<void> => {
    await publisher.close();
    await hub.close({ code: "shutdown" });
  };
  return { nodeId, hub, publisher, clock, close };
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server does not listen on a port");
  return address.port;
}

/** Resolves when `isTrue`, looked at on every turn; fails after `withinMs` of real time. */
export async function until(isTrue: () => boolean, what: string, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`did not come about: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
