import { capacityOf } from "#cluster/node-choice/choose-node.ts";
import type { NodeRecord } from "#cluster/store/contract.ts";
import { momentOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse } from "../http-errors.ts";
import { refuseStranger } from "../operator.ts";

/** Viewers by stream: each once where a node knows how many there are in all, else the sum over nodes. */
function audiencesOf(records: readonly NodeRecord[]): Record<string, number> {
  const names = new Set(records.flatMap(({ streams }) => Object.keys(streams)));
  return Object.fromEntries(
    Array.from(names, (name) => {
      const here = records.map(({ streams }) => streams[name] ?? 0);
      const sum = here.reduce((a, b) => a + b, 0);
      const counted = records.flatMap(({ audiences }) => audiences?.[name] ?? []);
      // The count is some ten seconds old: who has come since watches somewhere.
      return [name, Math.max(...here, Math.min(sum, counted.length > 0 ? Math.max(...counted) : sum))];
    }),
  );
}

/** Which nodes are there, and how are they? What the page draws its map from. */
export async function cluster(c: RouterContext, desk: Desk): Promise<Response> {
  const stranger = await refuseStranger(c, desk.env);
  if (stranger) return problemResponse(stranger);
  const sight = await desk.decisions.see(momentOf(c, desk));
  if (!sight)
    return problemResponse({
      status: 503,
      code: "store-silent",
      sentence: "The store does not answer, and nothing is remembered of the cluster.",
      retryAfterS: 2,
    });
  const records = sight.view.nodes.toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1));
  const nodes = records
    .filter(({ isSilent }) => !isSilent)
    .map(({ record }) => ({ ...record, load: record.viewers / capacityOf(record) }));
  return c.json({
    nowMs: sight.view.nowMs,
    from: sight.from,
    ageMs: sight.ageMs,
    nodes,
    viewers: audiencesOf(nodes),
    /** Nodes whose reports stopped within the last minute. */
    silent: records.filter(({ isSilent }) => isSilent).map(({ record }) => record.id),
    refused: sight.view.refused,
    canCommand: desk.env.LAPTOP_CONTROL_URL !== undefined,
  });
}
