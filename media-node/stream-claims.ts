import { randomUUID } from "node:crypto";
import type { StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import type { Stream } from "./core/stream.ts";
import type { Logger } from "./flow/logger.ts";
import type { LiveConfig } from "./live-config.ts";
import { applicationFor } from "./pull-planner.ts";
import type { NodeStores } from "./store-wiring.ts";
import { Registrar } from "./stores/registrar.ts";
import type { Clock } from "./time/clock.ts";

export interface StreamClaimsOptions {
  readonly live: LiveConfig;
  readonly hub: StreamHub;
  readonly stores: NodeStores;
  /** Where edges reach the OVT publisher; without one nothing is claimed. */
  readonly ovtPort: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Registers every stream this node publishes as origin for as long as it is live: those of applications with an OVT
 * publisher, in virtual hosts that name an `OriginHostName`. A stream that came from the store has an origin already.
 */
export class StreamClaims {
  readonly #options: StreamClaimsOptions;
  readonly #registrars = new Map<string, Registrar>();
  readonly #owner = randomUUID();
  readonly #claimed = new Set<string>();
  readonly #stopListening: () => void;

  constructor(options: StreamClaimsOptions) {
    this.#options = options;
    this.#stopListening = options.hub.addListener({
      onStream: (stream) => this.#claim(stream),
      onStreamEnd: ({ name }) => void this.#release(name),
    });
  }

  /** `vhost/app/stream` of what is claimed. */
  get names(): readonly string[] {
    return [...this.#claimed];
  }

  /** How claims stand: streams by `owner`, `standby` or `unknown`. */
  get standings(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { owner: 0, standby: 0, unknown: 0 };
    for (const registrar of this.#registrars.values())
      for (const { standing } of registrar.list()) counts[standing?.kind ?? "unknown"]!++;
    return counts;
  }

  /** How the claim of one stream stands; undefined where none is made. */
  standing(name: StreamName): "owner" | "standby" | "unknown" | undefined {
    if (!this.#claimed.has(streamKey(name))) return undefined;
    return this.#registrars.get(name.vhost)?.standing(name)?.kind ?? "unknown";
  }

  /** Gives every claim back; resolves when the stores know or could not be told. */
  async close(): Promise<void> {
    this.#stopListening();
    await Promise.all([...this.#registrars.values()].map((registrar) => registrar.close()));
  }

  #claim(stream: Stream): void {
    const { live, hub, ovtPort } = this.#options;
    const { vhost, app } = stream.name;
    const settings = live.now.vhosts.find(({ name }) => name === vhost);
    const originHostName = settings?.originMapStore?.originHostName;
    const registrar = this.#registrarOf(vhost);
    if (!settings || !originHostName || !registrar || ovtPort === undefined) return;
    if (!applicationFor(settings, app)?.publishers.ovt) return;
    if (hub.list().find((entry) => entry.stream === stream)?.pull?.from === "store") return;
    this.#claimed.add(streamKey(stream.name));
    const scheme = live.now.hearth.ovtLink?.requireTls ? "ovts" : "ovt";
    const url = `${scheme}://${originHostName}:${ovtPort}/${app}/${stream.name.stream}`;
    registrar.add({ ...stream.name, url, owner: this.#owner });
  }

  async #release(name: StreamName): Promise<void> {
    if (this.#claimed.delete(streamKey(name))) await this.#registrarOf(name.vhost)?.remove(name);
  }

  #registrarOf(vhost: string): Registrar | undefined {
    const known = this.#registrars.get(vhost);
    const store = this.#options.stores.storeOf(vhost);
    if (known || !store) return known;
    const { clock, logger } = this.#options;
    const registrar = new Registrar({ store, clock, logger });
    this.#registrars.set(vhost, registrar);
    return registrar;
  }
}
