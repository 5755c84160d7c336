import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { StreamName } from "./stream-name.ts";

/** A viewer's request after the door has split its path: `/{app}/{stream}/{file}?{rawQuery}`, nothing decoded. */
export interface ViewerTarget extends StreamName {
  /** Third path segment, `""` when there is none. */
  readonly file: string;
  /** As it came, without `?`. */
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** `http://host:port` as the viewer addressed this node: the base for absolute URLs in answers. */
  readonly baseUrl: string;
  /** The viewer's address, for limits and logs. */
  readonly remoteAddress: string;
}

/** Whether a viewer may begin to watch: tickets and policies, decided in one place at the door. */
export type AdmitViewer = (
  target: ViewerTarget,
  protocol: "webrtc" | "whep" | "llhls",
) => Promise<
  { readonly isAdmitted: true } | { readonly isAdmitted: false; readonly status: 401 | 403; readonly reason: string }
>;

/** What a delivery protocol offers to the node's HTTP server. Mounted at the roof, `media-node/deliveries.ts`. */
export interface HttpGuest {
  /** True when the request is this guest's, which then answers it; false passes it to the next guest. */
  handle?(request: IncomingMessage, response: ServerResponse, target: ViewerTarget): boolean;
  /** The same for a WebSocket upgrade. */
  upgrade?(request: IncomingMessage, socket: Duplex, head: Buffer, target: ViewerTarget): boolean;
}
