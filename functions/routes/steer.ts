import { momentOf, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse } from "../http-errors.ts";
import { isProblem } from "../requested-stream.ts";
import { steeringManifest } from "../steering/steering-manifest.ts";

/**
 * Which node should this LL-HLS player prefer from now on? `_HLS_pathway` is where it is, `pathways` what its playlist names.
 * While the store is silent everybody stays.
 */
export async function steer(c: RouterContext, desk: Desk): Promise<Response> {
  const viewer = viewerOf(c, desk, "llhls", "/-/steer");
  if (isProblem(viewer)) return problemResponse(viewer);
  const { outcome, choice, sight } = await desk.decisions.consider(viewer, momentOf(c, desk));
  const named = (c.req.query("pathways") ?? "").split(",", 8).filter((id) => /^[\w.-]{1,64}$/.test(id));
  const live = new Map(
    sight?.view.nodes.filter(({ isSilent, isLate }) => !isSilent && !isLate).map(({ record }) => [record.id, record]),
  );
  const current = c.req.query("_HLS_pathway");
  const next = choice?.node ? choice.runnersUp.map(({ record }) => record) : [];
  const best = isProblem(outcome) ? [] : [outcome.node, ...next];
  const reloadUri = `${new URL(c.req.url).pathname}?pathways=${named.join(",")}`;
  const manifest = steeringManifest(new Map(named.map((id) => [id, live.get(id)])), current, best, reloadUri);
  return c.json(manifest, 200, { "Content-Type": "application/json" });
}
