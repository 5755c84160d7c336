import { ClusterViewReader } from "./cluster/node-choice/cluster-view.ts";
import type { SigningKey } from "./cluster/ticket/signing-key.ts";
import type { ServerConfig } from "./config/server-config.ts";
import type { NodeStores } from "./store-wiring.ts";
import type { Clock } from "./time/clock.ts";

export interface ClusterCountOptions {
  readonly stores: NodeStores;
  readonly configNow: () => ServerConfig;
  readonly key: SigningKey | undefined;
  readonly clock: Clock;
}

/** A scrape asks the store for the next one, at most this often. */
const refreshMs = 5_000;
const noStream = { app: "-", stream: "-" };

/** Nodes of the cluster by state, as the first virtual host's store has them. Read when somebody asks, some seconds old. */
export class ClusterCount {
  readonly #options: ClusterCountOptions;
  readonly #reader: ClusterViewReader;
  #nodes: Readonly<Record<string, number>> | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(options: ClusterCountOptions) {
    this.#options = options;
    this.#reader = new ClusterViewReader(options.key);
  }

  /** Undefined before the first answer. */
  get nodes(): Readonly<Record<string, number>> | undefined {
    const { clock } = this.#options;
    if (clock.nowMs() - this.#askedMs >= refreshMs) {
      this.#askedMs = clock.nowMs();
      // A store that is away is counted elsewhere; what was known stands.
      this.#refresh().catch(() => {});
    }
    return this.#nodes;
  }

  async #refresh(): Promise<void> {
    const { stores, configNow } = this.#options;
    const vhost = configNow().vhosts.find(({ name }) => stores.storeOf(name))?.name;
    const store = vhost === undefined ? undefined : stores.storeOf(vhost);
    if (!store || vhost === undefined) return;
    const view = await this.#reader.read(await store.snapshot({ vhost, ...noStream }));
    const counts: Record<string, number> = { starting: 0, serving: 0, draining: 0, silent: 0 };
    for (const { record, isSilent } of view.nodes) counts[isSilent ? "silent" : record.state]!++;
    this.#nodes = counts;
  }
}
