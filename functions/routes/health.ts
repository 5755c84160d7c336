import type { RouterContext } from "../desk.ts";

/** Does the router answer? It holds no state, so this asks nothing of the store: an outage is not the router's death. */
export function health(c: RouterContext): Response {
  return c.json({ ok: true });
}
