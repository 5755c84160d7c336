import {
  StoreUnavailable,
  type ClaimResult,
  type ClusterStore,
  type ClusterStreamName,
  type StreamClaim,
} from "../cluster/store/contract.ts";
import { streamLeaseMs } from "../cluster/store/keys.ts";
import { messageOf } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";

/** A quarter of the lease, as OvenMediaEngine has it: three renewals may be lost. */
const renewEveryMs = 2_500;
/** Between tries while the store is away: soon enough that a stream is back within one renewal after the store is. */
const retryAfterMs = 500;
/** Enough for 10,000 streams on a store 50 ms away; few enough that a store which comes back is not run over. */
const maxInFlight = 256;

export interface RegistrarOptions {
  readonly store: ClusterStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when a stream's standing changes: first claim, take-over, lost to another. */
  readonly onStanding?: (claim: StreamClaim, standing: ClaimResult) => void;
}

interface Registration {
  readonly claim: StreamClaim;
  standing: ClaimResult | undefined;
  /** When the claim was sent that {@link standing} answers. */
  askedMs: number;
  timer: Timer | undefined;
  isClaiming: boolean;
  isFailing: boolean;
  isRemoved: boolean;
  /** Called when the claim that is under way has ended. */
  onIdle: (() => void) | undefined;
}

/**
 * Keeps an origin's claims alive: claims each stream at once, renews it, and goes on trying while the store is away or
 * another origin holds the stream. Nothing it does throws; what fails is tried again.
 */
export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #registrations = new Map<string, Registration>();
  /** Releases under way, by stream: a stream that returns is claimed after them. */
  readonly #releases = new Map<string, Promise<void>>();
  readonly #due: Registration[] = [];
  #inFlight = 0;
  #isStoreAway = false;
  #closing: Promise<void> | undefined;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Begins to claim a stream; one that is claimed already with another URL or owner is released first. */
  add(claim: StreamClaim): void {
    if (this.#closing) return;
    const key = keyOf(claim);
    const earlier = this.#registrations.get(key);
    if (earlier && earlier.claim.url === claim.url && earlier.claim.owner === claim.owner) return;
    if (earlier) void this.remove(claim);
    const registration: Registration = {
      claim,
      standing: undefined,
      askedMs: 0,
      timer: undefined,
      isClaiming: false,
      isFailing: false,
      isRemoved: false,
      onIdle: undefined,
    };
    this.#registrations.set(key, registration);
    void (this.#releases.get(key) ?? Promise.resolve()).then(() => this.#enqueue(registration));
  }

  /** Gives a stream up; resolves when the store knows, or when it could not be told (the lease then runs out). */
  remove(name: ClusterStreamName): Promise<void> {
    const key = keyOf(name);
    const registration = this.#registrations.get(key);
    if (!registration) return this.#releases.get(key) ?? Promise.resolve();
    this.#registrations.delete(key);
    registration.isRemoved = true;
    registration.timer?.cancel();
    const release = this.#release(registration, this.#releases.get(key)).finally(() => {
      if (this.#releases.get(key) === release) this.#releases.delete(key);
    });
    this.#releases.set(key, release);
    return release;
  }

  /** What became of the last claim; `undefined` when no answer is younger than a lease: anyone may own the stream then. */
  standing(name: ClusterStreamName): ClaimResult | undefined {
    return this.#standingOf(this.#registrations.get(keyOf(name)));
  }

  /** Every stream that is being claimed, and how it stands. */
  list(): readonly { readonly claim: StreamClaim; readonly standing: ClaimResult | undefined }[] {
    return [...this.#registrations.values()].map((registration) => ({
      claim: registration.claim,
      standing: this.#standingOf(registration),
    }));
  }

  #standingOf(registration: Registration | undefined): ClaimResult | undefined {
    if (!registration?.standing) return undefined;
    // Counted from when the claim was sent: the lease began later.
    const ageMs = this.#options.clock.nowMs() - registration.askedMs;
    return ageMs < streamLeaseMs ? registration.standing : undefined;
  }

  /** Gives everything up. May be called twice; the store stays open. */
  close(): Promise<void> {
    this.#closing ??= Promise.all([...this.#registrations.values()].map(({ claim }) => this.remove(claim))).then(
      async () => void (await Promise.all(this.#releases.values())),
    );
    return this.#closing;
  }

  #enqueue(registration: Registration): void {
    if (registration.isRemoved) return;
    this.#due.push(registration);
    this.#work();
  }

  #work(): void {
    while (this.#inFlight < maxInFlight) {
      const registration = this.#due.shift();
      if (!registration) return;
      if (!registration.isRemoved) void this.#claim(registration);
    }
  }

  async #claim(registration: Registration): Promise<void> {
    const { clock, store } = this.#options;
    const startedMs = clock.nowMs();
    this.#inFlight++;
    registration.isClaiming = true;
    let nextMs = retryAfterMs;
    try {
      const standing = await store.claim(registration.claim);
      nextMs = Math.max(0, startedMs + renewEveryMs - clock.nowMs());
      registration.askedMs = startedMs;
      this.#onAnswer(registration, standing);
    } catch (thrown) {
      this.#onFailure(registration, thrown);
    }
    registration.isClaiming = false;
    registration.onIdle?.();
    this.#inFlight--;
    if (!registration.isRemoved) registration.timer = clock.after(nextMs, () => this.#enqueue(registration));
    this.#work();
  }

  #onAnswer(registration: Registration, standing: ClaimResult): void {
    const { claim, standing: earlier } = registration;
    const { logger, onStanding } = this.#options;
    this.#isStoreAway = false;
    registration.isFailing = false;
    registration.standing = standing;
    if (registration.isRemoved || isSame(earlier, standing)) return;
    const fields = { vhost: claim.vhost, app: claim.app, stream: claim.stream };
    if (standing.kind === "owner") logger.info("stream registered", { ...fields, epoch: standing.epoch });
    else logger.warn("stream is on standby", { ...fields, owner: withoutSecrets(standing.ownerUrl) });
    try {
      onStanding?.(claim, standing);
    } catch (thrown) {
      logger.error("standing listener failed", { ...fields, error: messageOf(thrown) });
    }
  }

  #onFailure(registration: Registration, thrown: unknown): void {
    const { vhost, app, stream } = registration.claim;
    const fields = { vhost, app, stream, error: messageOf(thrown) };
    // One line an outage, not one a stream and try; a stream that alone is refused has its own.
    if (!this.#isStoreAway && !registration.isFailing) {
      this.#options.logger.warn("stream not registered, trying on", fields);
    }
    if (thrown instanceof StoreUnavailable) this.#isStoreAway = true;
    registration.isFailing = true;
  }

  async #release(registration: Registration, earlier: Promise<void> | undefined): Promise<void> {
    await earlier;
    // A claim that is under way would undo the release.
    if (registration.isClaiming) await new Promise<void>((resolve) => (registration.onIdle = resolve));
    try {
      await this.#options.store.release(registration.claim);
    } catch (thrown) {
      const { vhost, app, stream } = registration.claim;
      this.#options.logger.warn("stream not released", { vhost, app, stream, error: messageOf(thrown) });
    }
  }
}

function keyOf({ vhost, app, stream }: ClusterStreamName): string {
  return `${vhost}/${app}/${stream}`;
}

function isSame(a: ClaimResult | undefined, b: ClaimResult): boolean {
  if (a?.kind === "owner") return b.kind === "owner" && a.epoch === b.epoch;
  return a?.kind === b.kind && b.kind === "standby" && a.ownerUrl === b.ownerUrl;
}
