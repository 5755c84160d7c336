import type { PlainExchange, ViewerTarget } from "../core/guest.ts";
import { queryValuesOf, type QueryValues } from "./query-values.ts";

/** One request on its way. */
export interface ViewerRequest {
  readonly exchange: PlainExchange;
  readonly target: ViewerTarget;
  readonly query: QueryValues;
  /** Whether it is for a master playlist: where a viewer begins. */
  readonly isMaster: boolean;
  /** As the viewer sent it, `""` if there was none. */
  readonly session: string;
  readonly beganMs: number;
  /** When waiting for the stream to play ends. */
  readonly deadlineMs: number;
}

/** Requests wait for a stream that is coming, and for a part, at most this long: players give up at 10 s. */
export const maxHoldMs = 8_000;

export function viewerRequest(
  exchange: PlainExchange,
  target: ViewerTarget,
  isMaster: boolean,
  beganMs: number,
): ViewerRequest {
  const query = queryValuesOf(target);
  const session = query.get("session") ?? "";
  return { exchange, target, query, isMaster, session, beganMs, deadlineMs: beganMs + maxHoldMs };
}
