import type { Metric } from "./api/metrics.ts";
import type { StreamStats } from "./webrtc/stream-counters.ts";
import type { JoinQueue } from "./webrtc/join-queue.ts";
import type { MediaPort } from "./webrtc/media-port.ts";
import type { WebRtcStats } from "./webrtc/web-rtc.ts";
import type { WorkerPool, WorkerPoolStats } from "./webrtc/workers/worker-pool.ts";

/** Streams that get series of their own; those with the most viewers come first. */
const maxStreams = 200;

const perStream: readonly {
  readonly name: string;
  readonly help: string;
  readonly of: (stats: StreamStats) => number;
}[] = [
  { name: "viewers", help: "Connected WebRTC viewers", of: ({ viewers }) => viewers },
  { name: "packets_total", help: "RTP packets sent, repeats not counted", of: ({ packets }) => packets },
  { name: "payload_bytes_total", help: "RTP payload bytes sent", of: ({ bytes }) => bytes },
  { name: "retransmitted_total", help: "RTP packets repeated on request", of: ({ retransmitted }) => retransmitted },
  { name: "not_retransmitted_total", help: "Requests not answered", of: ({ notRetransmitted }) => notRetransmitted },
  { name: "drops_total", help: "Times a slow viewer was taken to a later key frame", of: ({ drops }) => drops },
  { name: "keyframe_requests_total", help: "PLI and FIR received", of: ({ keyframeRequests }) => keyframeRequests },
  {
    name: "freezes_total",
    help: "Pictures that stood until a key frame came, by PLI and FIR",
    of: ({ freezes }) => freezes,
  },
  { name: "loss_share", help: "Share of packets that viewers report lost, smoothed", of: ({ lossShare }) => lossShare },
  { name: "round_trip_seconds", help: "Smoothed, from RTCP", of: ({ roundTripMs }) => roundTripMs / 1000 },
];

/** Why a media port threw away what came, by the name it counts that under. */
const dropCauses: Readonly<Record<string, string>> = {
  droppedUnknownFormat: "format",
  droppedUnknownAddress: "address",
  stunMalformed: "malformed",
  stunUnknownUfrag: "user",
  stunUnauthentic: "password",
  rtcpUnauthentic: "key",
  droppedHandshakes: "crowd",
};

/** What guests share. */
interface Shared {
  readonly workers: Pick<WorkerPool, "stats">;
  readonly joins: Pick<JoinQueue, "length" | "refused">;
  /** Of the main thread, where it serves. */
  readonly port: Pick<MediaPort, "stats"> | undefined;
}

/**
 * `hearth_webrtc_…`, by stream where it helps to know which.
 * @param all figures of every guest as of now; a stream belongs to one of them
 */
export function webRtcMetrics(all: () => readonly WebRtcStats[], shared?: Shared): Metric[] {
  const { workers, joins, port } = shared ?? {};
  const ofPorts = (name: string): number => (port?.stats[name] ?? 0) + (workers?.stats.port[name] ?? 0);
  const sum = (of: (stats: WebRtcStats) => number): number => all().reduce((total, stats) => total + of(stats), 0);
  const ofWorkers = (of: (stats: WorkerPoolStats) => number) => () => (workers ? of(workers.stats) : 0);
  return [
    {
      name: "hearth_webrtc_workers",
      help: "Threads that send media, the main one not counted",
      read: ofWorkers((stats) => stats.workers),
    },
    {
      name: "hearth_webrtc_worker_failures_total",
      help: "Media threads that ended by themselves",
      read: ofWorkers((stats) => stats.failures),
    },
    {
      name: "hearth_webrtc_worker_samples_dropped_total",
      help: "Samples that a media thread was too slow to take",
      read: ofWorkers((stats) => stats.dropped),
    },
    {
      name: "hearth_webrtc_datagrams_received_total",
      help: "Datagrams that came to the media ports",
      read: () => ofPorts("datagramsIn"),
    },
    {
      name: "hearth_webrtc_datagrams_dropped_total",
      help: "Datagrams that nobody's viewer sent, by cause",
      labelNames: ["cause"],
      read: () => Object.entries(dropCauses).map(([name, cause]) => ({ labels: { cause }, value: ofPorts(name) })),
    },
    {
      name: "hearth_webrtc_joins_waiting",
      help: "Viewers of a crowd who wait for their turn to come in",
      read: () => joins?.length ?? 0,
    },
    {
      name: "hearth_webrtc_joins_refused_total",
      help: "Times a viewer found no room to wait in",
      read: () => joins?.refused ?? 0,
    },
    {
      name: "hearth_webrtc_sessions",
      help: "WebRTC sessions, negotiating ones too",
      read: () => sum(({ sessions }) => sessions),
    },
    { name: "hearth_webrtc_sessions_opened_total", help: "Sessions opened", read: () => sum(({ opened }) => opened) },
    {
      name: "hearth_webrtc_sessions_ended_total",
      help: "Sessions ended, by reason",
      labelNames: ["reason"],
      read: () => {
        const reasons = new Set(all().flatMap(({ ended }) => Object.keys(ended)));
        return Array.from(reasons, (reason) => ({ labels: { reason }, value: sum(({ ended }) => ended[reason] ?? 0) }));
      },
    },
    ...perStream.map(({ name, help, of }) => ({
      name: `hearth_webrtc_${name}`,
      help,
      labelNames: ["stream"],
      read: () => busiest(all()).map(([stream, stats]) => ({ labels: { stream }, value: of(stats) })),
    })),
  ];
}

function busiest(all: readonly WebRtcStats[]): [string, StreamStats][] {
  return all
    .flatMap(({ streams }) => Object.entries(streams))
    .toSorted(([, a], [, b]) => b.viewers - a.viewers)
    .slice(0, maxStreams);
}
