import type { Desk, RouterContext } from "../desk.ts";
import { problemResponse } from "../http-errors.ts";
import { refuseStranger } from "../operator.ts";

/** Which nodes are there, and how are they? What the page draws its map from. */
export async function cluster(c: RouterContext, desk: Desk): Promise<Response> {
  const stranger = await refuseStranger(c, desk.env);
  if (stranger) return problemResponse(stranger);
  const sight = await desk.decisions.see(desk.nowMs());
  if (!sight)
    return problemResponse({
      status: 503,
      code: "store-silent",
      sentence: "The store does not answer, and nothing is remembered of the cluster.",
      retryAfterS: 2,
    });
  const nodes = sight.view.nodes.map(({ record, isSilent }) => ({
    ...record,
    isSilent,
    load: record.maxViewers > 0 ? record.viewers / record.maxViewers : 0,
  }));
  nodes.sort((a, b) => (a.id < b.id ? -1 : 1));
  return c.json({ nowMs: sight.view.nowMs, from: sight.from, ageMs: sight.ageMs, nodes, refused: sight.view.refused });
}
