// One origin that plays the clip, two faulty ways to it, and an edge that pulls through them.
import assert from "node:assert/strict";
import { parseServerXml } from "../../media-node/config/parse-server-xml.ts";
import type { PullPlan } from "../../media-node/core/pull-plan.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { StreamHub, type AcquireResult, type StreamHold } from "../../media-node/core/stream-hub.ts";
import type { Stream } from "../../media-node/core/stream.ts";
import { dialTcp } from "../../media-node/dial.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startNode, type RunningNode } from "../../media-node/node.ts";
import { openOvtSource } from "../../media-node/ovt/ovt-source.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { TcpFaultProxy } from "./tcp-fault-proxy.ts";

const clip = new URL("../../infra/laptop/loop.mp4", import.meta.url).pathname;
const streamName = { vhost: "default", app: "app", stream: "stream" };

/** Starts a node in this process as a Server.xml says. */
export async function startFromXml(text: string): Promise<RunningNode> {
  const { config, problems } = parseServerXml(text, { path: "Server.xml", env: {} });
  assert.ok(config, JSON.stringify(problems));
  return startNode({ config, env: {}, clock: systemClock, logger: silentLogger });
}

const llHls = "<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS>";

const vhost = (origins: string, publishers = llHls): string =>
  `<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host><Origins>${origins}</Origins>
<Applications><Application><Name>*</Name><Type>live</Type><Providers><OVT/><RTSPPull/></Providers><Publishers><OVT/>
${publishers}</Publishers></Application></Applications>
</VirtualHost></VirtualHosts>`;

const rule = (location: string, scheme: string, urls: readonly string[], more = ""): string =>
  `<Origin><Location>${location}</Location><Pass><Scheme>${scheme}</Scheme><Urls>${urls.map((url) => `<Url>${url}</Url>`).join("")}</Urls></Pass>${more}</Origin>`;

/** Plays `app/stream` and any other name of `app` for ever; publishes by OVT. */
export function startClipOrigin(): Promise<RunningNode> {
  return startFromXml(`<Server version="8"><Type>origin</Type><IP>127.0.0.1</IP>
<Bind><Publishers><OVT><Port>0</Port></OVT></Publishers></Bind>
${vhost(rule("/app/stream", "file", [clip], "<Persistent>true</Persistent><StrictLocation>true</StrictLocation>"))}</Server>`);
}

export interface FailoverOptions {
  /** Of the rule: both ways, or the first alone. Default 2. */
  readonly urls?: 1 | 2;
  /** Elements of `Origins/Properties`. */
  readonly properties?: string;
  /** Elements of the rule, such as `<Failback>`. */
  readonly rule?: string;
  /** Elements of `<Hearth>`. */
  readonly hearth?: string;
  /** `rtsp` instead of `ovt`. */
  readonly scheme?: string;
  /** The edge delivers WebRTC instead of LL-HLS. */
  readonly isWebRtc?: boolean;
}

const llHlsBind = "<LLHLS><Port>0</Port></LLHLS>";
const webRtcBind = `<WebRTC><Signalling><Port>0</Port></Signalling>
<IceCandidates><IceCandidate>127.0.0.1:0/udp</IceCandidate></IceCandidates></WebRTC>`;
const loopback = "<AdvertisedAddresses><Address>127.0.0.1</Address></AdvertisedAddresses>";

export interface FailoverWorld extends AsyncDisposable {
  readonly origin: RunningNode;
  readonly edge: RunningNode;
  readonly first: TcpFaultProxy;
  readonly second: TcpFaultProxy;
  /** Asks for the stream as one viewer does. */
  watch(): Promise<AcquireResult>;
}

export async function openFailoverWorld(options: FailoverOptions = {}): Promise<FailoverWorld> {
  const { urls = 2, properties = "", rule: more = "", hearth = "", scheme = "ovt", isWebRtc = false } = options;
  const origin = await startClipOrigin();
  const first = await TcpFaultProxy.open(origin.ovtPort);
  const second = await TcpFaultProxy.open(origin.ovtPort);
  const places = [first, second].slice(0, urls).map(({ port }) => `127.0.0.1:${port}/app/`);
  const edge = await startFromXml(`<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
<Hearth ignore="true">${hearth}${isWebRtc ? loopback : ""}</Hearth>
<Bind><Publishers>${isWebRtc ? webRtcBind : llHlsBind}</Publishers></Bind>
${vhost(`<Properties>${properties}</Properties>${rule("/app/", scheme, places, more)}`, isWebRtc ? "<WebRTC/>" : llHls)}</Server>`);
  return {
    origin,
    edge,
    first,
    second,
    watch: () => edge.hub.acquire(streamName, { protocol: "whep", client: "127.0.0.1" }),
    async [Symbol.asyncDispose]() {
      await edge.close({ code: "done" });
      await first[Symbol.asyncDispose]();
      await second[Symbol.asyncDispose]();
      await origin.close({ code: "done" });
    },
  };
}

/** The hold of a request that must have been granted. */
export function holdOf(result: AcquireResult): StreamHold {
  if (result.kind !== "stream") assert.fail(result.reason);
  return result.hold;
}

/** Watches a stream as a viewer would: what came when, and whether anything went wrong. */
export class WatchingViewer {
  /** Arrival of every video frame, and its number since the epoch (25 a second). */
  readonly frames: { readonly atMs: number; readonly number: number }[] = [];
  readonly ends: string[] = [];
  backward = 0;
  discontinuities = 0;
  readonly #lastDts = new Map<number, number>();

  constructor(stream: Stream) {
    stream.addReader({
      onSample: (sample, { kind, timescale }) => this.#take(sample, kind === "video" ? timescale : undefined),
      onDescription: (_description, isDiscontinuity) => {
        if (isDiscontinuity) this.discontinuities++;
      },
      onEnd: ({ code }) => this.ends.push(code),
    });
  }

  #take({ trackId, dts }: Sample, videoTimescale: number | undefined): void {
    if (dts <= (this.#lastDts.get(trackId) ?? Number.NEGATIVE_INFINITY)) this.backward++;
    this.#lastDts.set(trackId, dts);
    if (videoTimescale === undefined) return;
    this.frames.push({ atMs: performance.now(), number: Math.round((dts * 25) / videoTimescale) });
  }

  /** Milliseconds without a frame around `sinceMs`: from the last one before to the first one after. */
  gapMs(sinceMs: number): number {
    const at = this.frames.findIndex(({ atMs }) => atMs > sinceMs);
    return at <= 0 ? Number.POSITIVE_INFINITY : this.frames[at]!.atMs - this.frames[at - 1]!.atMs;
  }

  /** The longest time between two frames since then. */
  longestGapMs(sinceMs: number): number {
    const from = Math.max(
      1,
      this.frames.findIndex(({ atMs }) => atMs >= sinceMs),
    );
    return Math.max(0, ...this.frames.slice(from).map(({ atMs }, index) => atMs - this.frames[from + index - 1]!.atMs));
  }

  /** Frames that never came, among those since then. */
  missing(sinceMs = 0): number {
    const seen = this.frames.filter(({ atMs }) => atMs >= sinceMs);
    return seen.slice(1).reduce((sum, { number }, index) => sum + number - seen[index]!.number - 1, 0);
  }
}

export interface BareEdge extends AsyncDisposable {
  readonly hub: StreamHub;
  ask(stream?: string): Promise<AcquireResult>;
}

/** A hub that dials for real and does not wait as long as a node does; pulls every stream from `urls`, as a rule would. */
export function openBareEdge(
  urls: readonly string[],
  { attemptTimeoutMs = 400, ...plan }: Partial<PullPlan> & { readonly attemptTimeoutMs?: number } = {},
): BareEdge {
  const shared = { dial: dialTcp, clock: systemClock, logger: silentLogger };
  const hub = new StreamHub({
    clock: systemClock,
    logger: silentLogger,
    nodeId: "edge",
    attemptTimeoutMs,
    openers: new Map([
      ["ovt", openOvtSource({ ...shared, nodeId: "edge" })],
      ["rtsp", openRtspSource(shared)],
    ]),
    plan: async () => {
      const patience = { noInputTimeoutMs: 500, unusedTimeoutMs: 60_000, graceMs: 30_000, isPersistent: false };
      return { urls, from: "rule", ...patience, ...plan };
    },
  });
  return {
    hub,
    ask: (stream = "stream") => hub.acquire({ ...streamName, stream }, { protocol: "whep", client: "127.0.0.1" }),
    [Symbol.asyncDispose]: () => hub.close({ code: "done" }),
  };
}
