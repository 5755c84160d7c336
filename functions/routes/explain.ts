import { momentOf, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse } from "../http-errors.ts";
import { refuseStranger } from "../operator.ts";
import { isProblem } from "../requested-stream.ts";
import { parseProtocol, ticketedAs, unknownProtocol } from "./resolve.ts";

/** Where would a viewer be sent, and why? The decision itself, not a copy of it; no viewer is counted. */
export async function explain(c: RouterContext, desk: Desk): Promise<Response> {
  const stranger = await refuseStranger(c, desk.env);
  if (stranger) return problemResponse(stranger);
  const protocol = parseProtocol(c.req.query("protocol"));
  if (!protocol) return problemResponse(unknownProtocol);
  const viewer = viewerOf(c, desk, ticketedAs(protocol), "/-/explain");
  if (isProblem(viewer)) return problemResponse(viewer);
  const { outcome, existence, choice, sight } = await desk.decisions.consider(viewer, momentOf(c, desk));
  return c.json({
    stream: viewer.stream.name,
    protocol,
    host: viewer.url.hostname,
    place: viewer.place,
    existence,
    node: isProblem(outcome) ? undefined : { id: outcome.node.id, url: outcome.node.url },
    problem: isProblem(outcome) ? outcome : undefined,
    reason: choice?.reason ?? existence,
    runnersUp: choice?.node ? choice.runnersUp.map(({ node, reason }) => ({ node, reason })) : [],
    excluded: choice?.excluded ?? [],
    origins: sight?.known?.urls.map(withoutUser),
    snapshot: sight && { from: sight.from, ageMs: sight.ageMs, nodes: sight.view.nodes.length },
  });
}

/** Cameras carry their password in their URL. */
const withoutUser = (url: string): string => url.replace(/\/\/[^/?#]*@/, "//").replace(/\?.*$/s, "?…");
