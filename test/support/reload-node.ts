import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readServerXml } from "../../media-node/config-commands.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startNode, type RunningNode } from "../../media-node/node.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { repository } from "./command.ts";

/** A Server.xml of which some rules change from one writing to the next; the stream that is watched has the last rule. */
export function serverXml(rules: number, variant: number): string {
  const others = Array.from({ length: rules - 1 }, (_, index) => {
    const name = `stream-${(index + variant) % (2 * rules)}`;
    return `<Origin><Location>/app/${name}</Location><Pass><Scheme>ovt</Scheme><Urls>
      <Url>127.0.0.1:9/app/${name}-${variant}</Url></Urls></Pass></Origin>`;
  });
  return `<?xml version="1.0"?><Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
  <Hearth ignore="true"><Node><Id>reload</Id></Node><OperatorPort>0</OperatorPort>
  <AdvertisedAddresses><Address>127.0.0.1</Address></AdvertisedAddresses></Hearth>
  <Bind><Publishers><LLHLS><Port>0</Port></LLHLS><WebRTC><Signalling><Port>0</Port></Signalling>
  <IceCandidates><IceCandidate>*:0/udp</IceCandidate></IceCandidates></WebRTC></Publishers></Bind>
  <VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
  <Origins>${others.join("")}<Origin><Location>/app/watched</Location><Pass><Scheme>file</Scheme><Urls>
  <Url>${join(repository, "infra/laptop/loop.mp4")}</Url></Urls></Pass></Origin></Origins>
  <Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers><Publishers><WebRTC/>
  <LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>2</SegmentDuration></LLHLS></Publishers></Application>
  </Applications></VirtualHost></VirtualHosts></Server>`;
}

/** Frames of one stream as a reader gets them, and whether any is missing, doubled or out of order. */
export class FrameCount {
  frames = 0;
  /** A sentence for each frame that does not follow the one before it. */
  readonly breaks: string[] = [];
  readonly #last = new Map<number, Sample>();

  onSample(sample: Sample): void {
    const before = this.#last.get(sample.trackId);
    this.#last.set(sample.trackId, sample);
    this.frames++;
    if (!before) return;
    const step = sample.dts - before.dts;
    // Durations are in whole ticks, so that a frame may seem one tick off.
    if (step <= 0 || (before.duration > 0 && step > before.duration * 1.5)) {
      this.breaks.push(`track ${sample.trackId}: ${step} ticks after ${before.dts}, which lasts ${before.duration}`);
    }
  }

  onEnd(): void {
    this.breaks.push("the stream ended");
  }
}

export interface ReloadNode extends AsyncDisposable {
  readonly node: RunningNode;
  readonly path: string;
  /** Writes another Server.xml, to be taken by the next reload. */
  readonly write: (text: string) => void;
}

/** A node in this process that reads its Server.xml from a file, as `hearth node` does. */
export async function startReloadNode(text: string): Promise<ReloadNode> {
  const folder = mkdtempSync(join(tmpdir(), "hearth-reload-"));
  const path = join(folder, "Server.xml");
  const write = (other: string): void => writeFileSync(path, other);
  write(text);
  const { config } = readServerXml(path);
  if (!config) throw new Error("the Server.xml of the test is wrong");
  const node = await startNode({
    config,
    env: {},
    clock: systemClock,
    logger: silentLogger,
    readConfig: () => readServerXml(path),
  });
  return {
    node,
    path,
    write,
    async [Symbol.asyncDispose]() {
      await node.close({ code: "shutdown" });
      rmSync(folder, { recursive: true });
    },
  };
}
