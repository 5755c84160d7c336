import type { NodeRecord } from "../store/contract.ts";
import type { NodeView } from "./cluster-view.ts";
import { hashText } from "./rendezvous.ts";

/**
 * The nodes that relay a stream now or publish it themselves: sending a viewer there costs no new pull.
 * @param nodes of one view; not changed afterwards
 * @param key `vhost/app/stream`
 */
export function carriersOf(nodes: readonly NodeView[], key: string): ReadonlySet<NodeView> {
  if (nodes.length <= fewNodes) {
    const carriers = nodes.filter(({ record }) => carries(record, key));
    return carriers.length > 0 ? new Set(carriers) : nobody;
  }
  return indexOf(nodes).find(key);
}

const nobody: ReadonlySet<NodeView> = new Set();

/** Up to as many are asked one by one. Beyond, a thousand small tables all over memory would cost more than the whole rest. */
const fewNodes = 100;

function carries(record: NodeRecord, key: string): boolean {
  return Object.hasOwn(record.streams, key) || record.origins.includes(key);
}

/** Hashes of all names that all nodes carry, in one piece of memory. */
class CarrierIndex {
  readonly #hashes: Int32Array;
  /** Of each hash. */
  readonly #nodes: NodeView[] = [];

  constructor(nodes: readonly NodeView[]) {
    const hashes = nodes.map(({ record }) => hashesOf(record));
    this.#hashes = new Int32Array(hashes.reduce((sum, { length }) => sum + length, 0));
    nodes.forEach((node, index) => {
      this.#hashes.set(hashes[index]!, this.#nodes.length);
      for (let count = hashes[index]!.length; count > 0; count--) this.#nodes.push(node);
    });
  }

  find(key: string): ReadonlySet<NodeView> {
    const found = new Set<NodeView>();
    const hash = hashText(key);
    for (let at = this.#hashes.indexOf(hash); at >= 0; at = this.#hashes.indexOf(hash, at + 1))
      if (carries(this.#nodes[at]!.record, key)) found.add(this.#nodes[at]!);
    return found;
  }
}

const indexes = new WeakMap<readonly NodeView[], CarrierIndex>();
/** Records come anew every 2 s, views every second. */
const hashesByRecord = new WeakMap<NodeRecord, Int32Array>();

function indexOf(nodes: readonly NodeView[]): CarrierIndex {
  let index = indexes.get(nodes);
  if (!index) indexes.set(nodes, (index = new CarrierIndex(nodes)));
  return index;
}

function hashesOf(record: NodeRecord): Int32Array {
  let hashes = hashesByRecord.get(record);
  if (!hashes) {
    hashes = Int32Array.from([...Object.keys(record.streams), ...record.origins], hashText);
    hashesByRecord.set(record, hashes);
  }
  return hashes;
}
