import type { NodeRecord } from "#cluster/store/contract.ts";

/** What a player is told (RFC 8216bis §7.1). */
export interface SteeringManifest {
  readonly VERSION: 1;
  /** Seconds until it asks again. */
  readonly TTL: number;
  readonly "RELOAD-URI": string;
  readonly "PATHWAY-PRIORITY": readonly string[];
  readonly "PATHWAY-CLONES"?: readonly {
    readonly "BASE-ID": string;
    readonly ID: string;
    readonly "URI-REPLACEMENT": { readonly HOST: string };
  }[];
}

/** A drain is over no sooner than the last viewer has asked once; asking costs one small request a viewer. */
const ttlS = 6;

/**
 * Which node a player should prefer. Stays where it is while that node is well; a node that drains, died or is full comes
 * last. While fewer than two of its nodes are well, another joins as a clone, where only the host name has to change.
 * @param pathways the nodes that the player's playlist names, as they are now; `undefined` for one that is gone
 * @param best the nodes that a new viewer would be sent to, best first
 */
export function steeringManifest(
  pathways: ReadonlyMap<string, NodeRecord | undefined>,
  current: string | undefined,
  best: readonly NodeRecord[],
  reloadUri: string,
): SteeringManifest {
  const isWell = (id: string) => isUsable(pathways.get(id));
  const rank = (id: string) => (isWell(id) ? 0 : 4) + (id === current ? 0 : 2) + (id === best[0]?.id ? 0 : 1);
  const known = [...pathways.keys()].toSorted((a, b) => rank(a) - rank(b));
  const wellCount = known.filter(isWell).length;
  const spare = wellCount < 2 ? best.find(({ id }) => !pathways.has(id)) : undefined;
  const clone = spare && cloneOf(spare, pathways);
  return {
    VERSION: 1,
    TTL: ttlS,
    "RELOAD-URI": reloadUri,
    "PATHWAY-PRIORITY": clone ? known.toSpliced(wellCount, 0, clone.ID) : known,
    ...(clone && { "PATHWAY-CLONES": [clone] }),
  };
}

const isUsable = (record: NodeRecord | undefined): boolean => record?.state === "serving";

function cloneOf(spare: NodeRecord, pathways: ReadonlyMap<string, NodeRecord | undefined>) {
  const { protocol, port, hostname } = new URL(spare.url);
  for (const [id, record] of pathways) {
    const base = record && new URL(record.url);
    if (base?.protocol === protocol && base.port === port)
      return { "BASE-ID": id, ID: spare.id, "URI-REPLACEMENT": { HOST: hostname } };
  }
  return undefined;
}
