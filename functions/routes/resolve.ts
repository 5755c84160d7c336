import type { ViewerProtocol } from "#cluster/ticket/ticket.ts";
import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse, type Problem } from "../http-errors.ts";
import { protocolPath, withoutKey, type AskedProtocol } from "../node-url.ts";
import { isProblem } from "../requested-stream.ts";

/** Where would this stream play, by this protocol? For pages that hand the answer to a player themselves. */
export async function resolve(c: RouterContext, desk: Desk): Promise<Response> {
  const protocol = parseProtocol(c.req.query("protocol"));
  if (!protocol) return problemResponse(unknownProtocol);
  const viewer = viewerOf(c, desk, ticketedAs(protocol), "/-/resolve");
  if (isProblem(viewer)) return problemResponse(viewer);
  const search = withoutKey(viewer.url.search, "protocol").join("&");
  const target = await assign(c, desk, viewer, protocolPath(viewer.stream, protocol), { search });
  if (isProblem(target)) return problemResponse(target);
  const url = protocol === "webrtc" ? target.url.replace(/^http/, "ws") : target.url;
  return c.json({ url, node: target.node.id, expires: target.expiresMs });
}

/** `webrtc` (signalling over WebSocket), `whep`, `llhls`, `hls` (version 3, MPEG-TS); `llhls` when nothing is said. */
export function parseProtocol(text: string | undefined): AskedProtocol | undefined {
  if (text === undefined) return "llhls";
  return text === "webrtc" || text === "whep" || text === "llhls" || text === "hls" ? text : undefined;
}

/** Both kinds of HLS are one to nodes: the same door, the same tickets, the same policies. */
export const ticketedAs = (protocol: AskedProtocol): ViewerProtocol => (protocol === "hls" ? "llhls" : protocol);

export const unknownProtocol: Problem = {
  status: 400,
  code: "unknown-protocol",
  sentence: "protocol is one of webrtc, whep, llhls, hls.",
};
