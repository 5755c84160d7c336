import { queryOf } from "../asked-url.ts";
import { redirectTo } from "../cors.ts";
import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse } from "../http-errors.ts";
import { isProblem } from "../requested-stream.ts";

/**
 * LL-HLS: which node plays this master playlist? 302 to it; everything below is relative, so the router is asked once.
 * `?_resolve=json` asks for the answer as JSON instead.
 */
export async function play(c: RouterContext, desk: Desk): Promise<Response> {
  const viewer = viewerOf(c, desk, "llhls");
  if (isProblem(viewer)) return problemResponse(viewer);
  const target = await assign(c, desk, viewer, viewer.stream.path);
  if (isProblem(target)) return problemResponse(target);
  if (queryOf(c, "_resolve") === "json")
    return c.json({ url: target.url, node: target.node.id, protocol: "llhls", expires: target.expiresMs });
  return redirectTo(c, 302, target.url);
}
