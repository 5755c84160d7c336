import type { LaptopCluster } from "../../infra/laptop/cluster.ts";
import { until } from "./until.ts";

/** Resolves when the router sees `count` edges that serve; what it decides before that is among fewer. */
export async function untilRouterKnows(cluster: LaptopCluster, count: number): Promise<void> {
  let last = "";
  const known = until(`the router knows ${count} serving edges`, 30_000, async () => {
    const answer = await fetch(`${cluster.url}/-/cluster`);
    const { nodes } = (await answer.json()) as { nodes: { id: string; state: string; url: string }[] };
    const serving = nodes.filter(({ id, state }) => id.startsWith("edge") && state === "serving");
    last = nodes.map(({ id, state }) => `${id} ${state}`).join(", ");
    return serving.length === count;
  });
  await known.catch((thrown: unknown) => {
    throw new Error(`the router sees: ${last}`, { cause: thrown });
  });
}

/** Resolves when `app/stream` plays through the router: a cluster that has just started is still finding its feet. */
export async function untilStreamPlays(cluster: LaptopCluster): Promise<void> {
  await until("the stream plays", 30_000, async () => {
    const answer = await fetch(`${cluster.url}/app/stream/llhls.m3u8`);
    await answer.arrayBuffer();
    return answer.status === 200;
  });
}
