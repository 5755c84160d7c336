import type { Metric } from "./api/metrics.ts";
import type { LlHls, LlHlsStats } from "./llhls/ll-hls.ts";

/** `hearth_llhls_…`, summed over the settings that a node serves LL-HLS with. */
export function llHlsMetrics(guests: readonly Pick<LlHls, "stats">[]): Metric[] {
  const sum = (name: string, help: string, of: (stats: LlHlsStats) => number): Metric => ({
    name: `hearth_llhls_${name}`,
    help,
    read: () => guests.reduce((total, { stats }) => total + of(stats), 0),
  });
  return [
    sum("streams", "Streams that are cut into segments now", ({ streams }) => streams),
    sum("held_requests", "Requests that wait for media", ({ heldRequests }) => heldRequests),
    sum("held_bytes", "Memory of parts that are kept for serving", ({ heldBytes }) => heldBytes),
    sum("sent_bytes_total", "Bodies handed to viewers' sockets", ({ egressBytes }) => egressBytes),
    sum("rewind_bytes", "Segments on disk for rewinding", ({ rewind }) => rewind.bytes),
    sum("rewind_segments", "The same, in segments", ({ rewind }) => rewind.files),
    sum("rewind_lost_total", "Segments that the disk could not keep for rewinding", ({ rewind }) => rewind.lost),
  ];
}
