import { randomUUID } from "node:crypto";
import type { ClusterStore, StreamClaim } from "./cluster/store/contract.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import type { Stream } from "./core/stream.ts";
import type { Logger } from "./flow/logger.ts";
import type { LiveConfig } from "./live-config.ts";
import { applicationFor } from "./pull-planner.ts";
import { Registrar } from "./stores/registrar.ts";
import type { Clock } from "./time/clock.ts";

export interface StreamClaimsOptions {
  readonly live: LiveConfig;
  readonly hub: StreamHub;
  readonly stores: { storeOf(vhost: string): ClusterStore | undefined };
  /** Where edges reach the OVT publisher; without one nothing is claimed. */
  readonly ovtPort: number | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What became of claims that were given up: undefined when this node held none, else whether the store names another origin for
 * them by now. Does not reject.
 */
export type GivenUp = (() => Promise<boolean>) | undefined;

/** Of many streams these stand for all: the others come at the same pace. */
const maxAskedFor = 20;

/**
 * Registers every stream this node publishes as origin for as long as it is live: those of applications with an OVT
 * publisher, in virtual hosts that name an `OriginHostName`. A stream that came from the store has an origin already.
 * A configuration that is reloaded holds for streams that are live, too.
 */
export class StreamClaims {
  readonly #options: StreamClaimsOptions;
  /** By virtual host; one whose store is another now is closed. */
  readonly #registrars = new Map<string, { readonly store: ClusterStore; readonly registrar: Registrar }>();
  /** Registrars of stores that are no longer asked, while they give their claims back. */
  readonly #closing = new Set<Promise<void>>();
  readonly #owner = randomUUID();
  readonly #claimed = new Map<string, StreamName>();
  /** Of the port as it was opened: a reload does not change it. */
  readonly #scheme: "ovt" | "ovts";
  readonly #stopListening: () => void;
  readonly #stopFollowing: () => void;

  constructor(options: StreamClaimsOptions) {
    this.#options = options;
    this.#scheme = options.live.now.hearth.ovtLink?.requireTls ? "ovts" : "ovt";
    this.#stopListening = options.hub.addListener({
      onStream: (stream) => this.#judge(stream),
      onStreamEnd: ({ stream }) => this.#release(stream.name),
    });
    this.#stopFollowing = options.live.addListener(() => {
      for (const { stream } of options.hub.list()) if (stream) this.#judge(stream);
    });
  }

  /** `vhost/app/stream` of what is claimed. */
  get names(): readonly string[] {
    return [...this.#claimed.keys()];
  }

  /** How claims stand: streams by `owner`, `standby` or `unknown`. */
  get standings(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = { owner: 0, standby: 0, unknown: 0 };
    for (const { registrar } of this.#registrars.values())
      for (const { standing } of registrar.list()) counts[standing?.kind ?? "unknown"]!++;
    return counts;
  }

  /** How the claim of one stream stands; undefined where none is made. */
  standing(name: StreamName): "owner" | "standby" | "unknown" | undefined {
    if (!this.#claimed.has(streamKey(name))) return undefined;
    return this.#registrars.get(name.vhost)?.registrar.standing(name)?.kind ?? "unknown";
  }

  /** As `close`; never rejects. See {@link GivenUp}. */
  async giveUp(): Promise<GivenUp> {
    const held = [...this.#claimed.values()].filter((name) => this.standing(name) === "owner").slice(0, maxAskedFor);
    await this.close().catch(() => {});
    if (held.length === 0) return undefined;
    const isTaken = async (name: StreamName): Promise<boolean> => {
      const origins = await this.#options.stores.storeOf(name.vhost)?.lookup(name);
      return (origins?.length ?? 0) > 0;
    };
    return async () => {
      try {
        return (await Promise.all(held.map(isTaken))).every(Boolean);
      } catch {
        // The store does not answer now.
        return false;
      }
    };
  }

  /** Gives every claim back and makes no more; resolves when the stores know or could not be told. May be called twice. */
  async close(): Promise<void> {
    this.#stopListening();
    this.#stopFollowing();
    this.#claimed.clear();
    await Promise.all([
      ...this.#closing,
      ...Array.from(this.#registrars.values(), ({ registrar }) => registrar.close()),
    ]);
  }

  /** Claims the stream or gives it up, as the configuration in force says. */
  #judge(stream: Stream): void {
    const claim = this.#claimOf(stream);
    const registrar = claim && this.#registrarOf(claim.vhost);
    if (!claim || !registrar) return this.#release(stream.name);
    this.#claimed.set(streamKey(stream.name), stream.name);
    registrar.add(claim);
  }

  #claimOf(stream: Stream): StreamClaim | undefined {
    const { live, hub, ovtPort } = this.#options;
    const { vhost, app } = stream.name;
    const settings = live.now.vhosts.find(({ name }) => name === vhost);
    const originHostName = settings?.originMapStore?.originHostName;
    if (!settings || !originHostName || ovtPort === undefined) return undefined;
    if (!applicationFor(settings, app)?.publishers.ovt) return undefined;
    if (hub.list().find((entry) => entry.stream === stream)?.pull?.from === "store") return undefined;
    const url = `${this.#scheme}://${originHostName}:${ovtPort}/${app}/${stream.name.stream}`;
    return { ...stream.name, url, owner: this.#owner };
  }

  #release(name: StreamName): void {
    if (this.#claimed.delete(streamKey(name))) void this.#registrars.get(name.vhost)?.registrar.remove(name);
  }

  #registrarOf(vhost: string): Registrar | undefined {
    const store = this.#options.stores.storeOf(vhost);
    const known = this.#registrars.get(vhost);
    if (known && known.store === store) return known.registrar;
    this.#registrars.delete(vhost);
    if (known) this.#leave(known.registrar);
    if (!store) return undefined;
    const { clock, logger } = this.#options;
    const registrar = new Registrar({ store, clock, logger });
    this.#registrars.set(vhost, { store, registrar });
    return registrar;
  }

  #leave(registrar: Registrar): void {
    const closing = registrar.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
