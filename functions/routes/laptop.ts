import type { Desk, RouterContext } from "../desk.ts";
import { nothingHere, problemResponse, type Problem } from "../http-errors.ts";
import { refuseStranger } from "../operator.ts";

/** Stops or starts one of the laptop's nodes, to watch what viewers notice. Only where the launcher says how. */
export async function laptop(c: RouterContext, desk: Desk): Promise<Response> {
  const control = desk.env.LAPTOP_CONTROL_URL;
  const order = /^\/-\/laptop\/(stop|start)\/([\w.-]{1,64})$/.exec(new URL(c.req.url).pathname);
  if (!control || !order) return problemResponse(nothingHere);
  const stranger = await refuseStranger(c, desk.env);
  if (stranger) return problemResponse(stranger);
  const page = c.req.header("Origin");
  if (page !== undefined && page !== new URL(c.req.url).origin) return problemResponse(foreignPage);
  const [, action, node] = order;
  const answer = await desk.fetch(`${control.replace(/\/$/, "")}/${action}/${node}`, { method: "POST" });
  return new Response(answer.body, { status: answer.status, headers: { "Content-Type": "application/json" } });
}

/** Any site that the laptop's user visits could send this request otherwise. */
const foreignPage: Problem = {
  status: 403,
  code: "foreign-page",
  sentence: "Only the router's own page may stop and start nodes.",
};
