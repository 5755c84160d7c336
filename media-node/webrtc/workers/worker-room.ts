import type { StreamHold } from "../../core/stream-hub.ts";
import { Stream } from "../../core/stream.ts";
import type { Track } from "../../core/track.ts";
import { messageOf } from "../../flow/errors.ts";
import type { Logger } from "../../flow/logger.ts";
import { createPacketizer, type Packetizer } from "../../rtp/packetizer.ts";
import type { Clock } from "../../time/clock.ts";
import type { WebRtcConfig } from "../config.ts";
import { watchFirstMedia } from "../first-media.ts";
import type { MediaPort } from "../media-port.ts";
import type { RandomBytes } from "../random.ts";
import { StreamCounters } from "../stream-counters.ts";
import { StreamFanOut } from "../stream-fan-out.ts";
import { ViewerSession } from "../viewer-session.ts";
import { PackedPacketizer, readPacked } from "./packed-sample.ts";
import {
  recordKinds,
  sampleHeadBytes,
  type WorkerCommand,
  type WorkerReport,
  type WorkerSentBytes,
  type WorkerStreamStats,
} from "./worker-messages.ts";

export interface WorkerRoomOptions {
  readonly port: MediaPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: RandomBytes;
  readonly defer: (run: () => void) => void;
  readonly report: (report: WorkerReport) => void;
}

interface RelayedStream {
  readonly stream: Stream;
  readonly config: WebRtcConfig;
  readonly fanOut: StreamFanOut;
  readonly counters: StreamCounters;
}

const text = new TextDecoder();
const notFound = (what: string): Error => new Error(`there is no ${what}`);

/**
 * The part of the WebRTC room that lives in a media worker: streams as they are relayed, cut into packets already, and
 * the viewers placed here. No thread and no socket of its own: records of the ring in, reports out.
 */
export class WorkerRoom {
  readonly #options: WorkerRoomOptions;
  readonly #streams = new Map<number, RelayedStream>();
  readonly #viewers = new Map<number, ViewerSession>();

  constructor(options: WorkerRoomOptions) {
    this.#options = options;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  get streamStats(): WorkerStreamStats {
    return [...this.#streams].map(([id, { counters }]) => [id, counters.stats] as const);
  }

  get sentBytes(): WorkerSentBytes {
    return [...this.#viewers].map(([id, { sentBytes }]) => [id, sentBytes] as const);
  }

  /** Takes one record. Never throws: what cannot be done ends the viewer it was for, and is logged. */
  receive(record: Uint8Array): void {
    try {
      if (record[0] === recordKinds.sample) this.#onSample(record);
      // A decoder takes no shared memory.
      else this.#act(JSON.parse(text.decode(record.slice(1))) as WorkerCommand);
    } catch (thrown) {
      this.#options.logger.error("media worker could not follow", { error: messageOf(thrown) });
    }
  }

  #onSample(record: Uint8Array): void {
    const id = new DataView(record.buffer, record.byteOffset, sampleHeadBytes).getUint32(4, true);
    this.#streams.get(id)?.stream.publish(readPacked(record.subarray(sampleHeadBytes)));
  }

  #act(command: WorkerCommand): void {
    switch (command.type) {
      case "stream":
        return this.#openStream(command);
      case "describe":
        return this.#streams.get(command.stream)?.stream.describe(command.description, command.isDiscontinuity);
      case "end":
        this.#streams.get(command.stream)?.stream.close(command.reason);
        this.#streams.delete(command.stream);
        return;
      case "open":
        return this.#openViewer(command);
      case "accept":
        return this.#viewers.get(command.viewer)?.accept(command.negotiated, command.remote, command.rendition);
      case "switch": {
        const { viewer, request, rendition } = command;
        const switched = (): void => this.#options.report({ type: "switched", viewer, request });
        return this.#viewers.get(viewer)?.switchTo(rendition, switched);
      }
      case "choose": {
        const { viewer, renditions } = command;
        return this.#viewers
          .get(viewer)
          ?.chooseAmong(renditions, ({ name }) => this.#options.report({ type: "chosen", viewer, rendition: name }));
      }
      case "close":
        return this.#viewers.get(command.viewer)?.close(command.reason);
    }
  }

  #openStream({ stream: id, name, description, config }: Extract<WorkerCommand, { type: "stream" }>): void {
    const { clock, logger, report } = this.#options;
    const requestKeyframe = (track: number): void => report({ type: "keyframe", stream: id, track });
    const stream = new Stream(name, description, { clock, logger, requestKeyframe });
    const fanOut = new StreamFanOut(stream, { ...this.#options, config, newPacketizer: packedPacketizerOf });
    this.#streams.set(id, { stream, config, fanOut, counters: new StreamCounters() });
  }

  #openViewer({ viewer, stream: id, iceUfrag, icePwd }: Extract<WorkerCommand, { type: "open" }>): void {
    const { report } = this.#options;
    const relayed = this.#streams.get(id);
    if (!relayed) {
      report({ type: "ended", viewer, reason: { code: "stream-ended" } });
      throw notFound(`stream ${id}`);
    }
    const hold: StreamHold = { stream: relayed.stream, viewers: 1, release() {} };
    let stopWatching = (): void => {};
    const session = new ViewerSession({
      ...this.#options,
      config: relayed.config,
      fanOut: relayed.fanOut,
      counters: relayed.counters,
      hold,
      credentials: { iceUfrag, icePwd },
      onConnected: (codecs) => report({ type: "connected", viewer, codecs }),
      onEnd: (reason) => {
        stopWatching();
        this.#viewers.delete(viewer);
        report({ type: "ended", viewer, reason });
      },
    });
    this.#viewers.set(viewer, session);
    stopWatching = watchFirstMedia(this.#options.clock, session, () => report({ type: "first-media", viewer }));
  }
}

function packedPacketizerOf(track: Track, maxPacketBytes: number): Packetizer | undefined {
  const made = createPacketizer(track.codec, { maxPacketBytes });
  return made && new PackedPacketizer(made.clockRate);
}
