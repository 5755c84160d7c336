import type { ViewerProtocol } from "./cluster/ticket/ticket.ts";

/**
 * Ways to watch, as counts name them. `hls` is HLS version 3: routers, tickets and policies know one HLS, see {@link routedAs}.
 */
export type WatchProtocol = ViewerProtocol | "hls";

export const watchProtocols: readonly WatchProtocol[] = ["webrtc", "whep", "llhls", "hls"];

/** Whether who holds a stream by this protocol is a person: other holders are nodes and prewarming. */
export function isViewerProtocol(protocol: string): protocol is WatchProtocol {
  return (watchProtocols as readonly string[]).includes(protocol);
}

/** What tickets and node records call it. */
export const routedAs = (protocol: WatchProtocol): ViewerProtocol => (protocol === "hls" ? "llhls" : protocol);
