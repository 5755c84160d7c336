import { availableParallelism } from "node:os";
import type { Metric } from "./api/metrics.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import type { NodeContext } from "./node-context.ts";
import { ffmpegEncoders, findProgram } from "./transcoding/ffmpeg-encoder.ts";
import { OpusStreams } from "./transcoding/opus-streams.ts";

/** One takes one to two hundredths of a core; half of each stays for the pictures. */
const encodersPerCore = 32;

/** Streams as WebRTC gets them, with sound that it can carry. */
export interface OpusSound {
  readonly hub: Pick<StreamHub, "acquire">;
  readonly metrics: readonly Metric[];
}

/** AAC is heard by WebRTC viewers as Opus where Server.xml does not switch that off; ffmpeg is looked for when needed. */
export function openOpusSound({ config, clock, logger, group }: NodeContext, hub: StreamHub): OpusSound {
  const { ffmpeg } = config.hearth;
  if (ffmpeg === "off") return { hub, metrics: [] };
  const findEncoder = () => {
    const program = findProgram(ffmpeg, process.env["PATH"] ?? "");
    return program === undefined ? undefined : ffmpegEncoders(program);
  };
  const streams = new OpusStreams({
    hub,
    findEncoder,
    clock,
    logger,
    maxEncoders: availableParallelism() * encodersPerCore,
  });
  group.add((reason) => streams.close(reason));
  const { counters } = streams;
  const metrics: Metric[] = [
    { name: "hearth_opus_encoders", help: "ffmpeg processes that turn AAC into Opus", read: () => counters.running },
    { name: "hearth_opus_encoder_starts_total", help: "ffmpeg processes started", read: () => counters.started },
    {
      name: "hearth_opus_encoder_restarts_total",
      help: "ffmpeg processes that ended by themselves or were stuck",
      read: () => counters.restarted,
    },
    {
      name: "hearth_opus_refused_total",
      help: "Streams left without sound because enough ffmpeg processes ran",
      read: () => counters.refused,
    },
    { name: "hearth_opus_packets_total", help: "Opus packets made", read: () => counters.packets },
    {
      name: "hearth_opus_dropped_frames_total",
      help: "AAC frames left out because no encoder took them",
      read: () => counters.droppedFrames,
    },
  ];
  return { hub: streams, metrics };
}
