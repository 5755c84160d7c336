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

/**
 * A master is held this long where media of its stream comes already: no segment is whole yet, as at the beginning of a stream with
 * segments of ten seconds. hls.js gives up a master after 20 s, and at once and for ever when it is answered 202.
 */
export const maxMasterHoldMs = 18_000;

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
