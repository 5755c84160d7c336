import type { ViewerProtocol } from "./cluster/ticket/ticket.ts";

const viewerProtocols: readonly string[] = ["webrtc", "whep", "llhls"] satisfies readonly ViewerProtocol[];

/** Whether who holds a stream by this protocol is a person: other holders are nodes and prewarming. */
export function isViewerProtocol(protocol: string): protocol is ViewerProtocol {
  return viewerProtocols.includes(protocol);
}
