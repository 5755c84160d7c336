import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse, type Problem } from "../http-errors.ts";
import { protocolPath } from "../node-url.ts";
import { isProblem } from "../requested-stream.ts";
import { traceparentFor } from "../tracing.ts";
import { upgradeTimeoutMs, within } from "../within.ts";

/** Marks a connection that a router passed on: one that comes back is in a loop. */
const routedHeader = "Hearth-Routed";

/**
 * OvenMediaEngine's signalling over WebSocket: which node speaks to this player? Browsers follow no redirect of a
 * handshake (WHATWG WebSockets §3.1), so the upgrade itself is passed through; no code of ours runs per message.
 */
export async function signalling(c: RouterContext, desk: Desk): Promise<Response> {
  if (c.req.header(routedHeader)) return problemResponse(inCircles);
  const viewer = viewerOf(c, desk, "webrtc");
  if (isProblem(viewer)) return problemResponse(viewer);
  for (const isLast of [false, true]) {
    const target = await assign(c, desk, viewer, protocolPath(viewer.stream, "webrtc"), { passesOn: true });
    if (isProblem(target)) return problemResponse(target);
    const answer = await passThrough(c, desk, target.url);
    if (answer && (answer.status < 500 || isLast)) return answer;
    desk.decisions.reportFailure(target.node.id, desk.nowMs());
    await answer?.body?.cancel();
  }
  return problemResponse(nobodyAnswered);
}

async function passThrough(c: RouterContext, desk: Desk, url: string): Promise<Response | undefined> {
  const headers = new Headers(c.req.raw.headers);
  headers.set(routedHeader, "1");
  headers.set("traceparent", traceparentFor(c).traceparent);
  const opening = desk.fetch(url, new Request(url, { headers, redirect: "manual" }));
  return within(upgradeTimeoutMs, opening, (late) => void late.body?.cancel());
}

const inCircles: Problem = {
  status: 508,
  code: "routed-twice",
  sentence: "A router passed this connection on already: a node's public address leads back to the router.",
};
const nobodyAnswered: Problem = {
  status: 502,
  code: "node-unreachable",
  sentence: "The nodes chosen for this stream did not answer the router.",
  retryAfterS: 2,
};
