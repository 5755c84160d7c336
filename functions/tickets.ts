import type { SigningKey } from "#cluster/ticket/signing-key.ts";
import { signTicket, ticketLifetimeMs, type TicketScope } from "#cluster/ticket/ticket.ts";

export interface IssuedTicket {
  /** `undefined` in a cluster without a secret. */
  readonly ticket: string | undefined;
  /** Unix ms. */
  readonly expiresMs: number;
}

/** A ticket names no viewer, so everyone who goes the same way within this time gets the same: signing is what costs. */
const reuseMs = 1_000;
const maxKept = 1_000;

/** Issues tickets. */
export class Tickets {
  readonly #key: SigningKey | undefined;
  readonly #kept = new Map<string, { ticket: string; issuedMs: number }>();

  constructor(key: SigningKey | undefined) {
    this.#key = key;
  }

  async issue(scope: TicketScope, nowMs: number, sessionEndsMs: number | undefined): Promise<IssuedTicket> {
    if (!this.#key) return { ticket: undefined, expiresMs: nowMs + ticketLifetimeMs };
    const { vhost, app, stream } = scope.name;
    const way = `${scope.node}/${scope.protocol}/${sessionEndsMs ?? 0}/${vhost}/${app}/${stream}`;
    const kept = this.#kept.get(way);
    if (kept && nowMs >= kept.issuedMs && nowMs - kept.issuedMs < reuseMs)
      return { ticket: kept.ticket, expiresMs: kept.issuedMs + ticketLifetimeMs };
    const ticket = await signTicket(this.#key, scope, nowMs, sessionEndsMs);
    if (this.#kept.size >= maxKept) this.#kept.clear();
    this.#kept.set(way, { ticket, issuedMs: nowMs });
    return { ticket, expiresMs: nowMs + ticketLifetimeMs };
  }
}
