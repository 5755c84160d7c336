import type { SigningKey } from "./cluster/ticket/signing-key.ts";
import { ticketQueryKey, verifyTicket, type TicketRefusal } from "./cluster/ticket/ticket.ts";
import type { AdmitViewer } from "./core/guest.ts";
import type { Clock } from "./time/clock.ts";

const sentences: Record<TicketRefusal, string> = {
  missing: "this node takes viewers from its router only: ask the router for the stream",
  malformed: "the ticket cannot be read",
  forged: "the ticket was not signed by this cluster",
  expired: "the ticket has expired: ask the router again",
  "other-node": "the ticket is for another node",
  "other-stream": "the ticket is for another stream",
  "other-protocol": "the ticket is for another protocol",
};

/** Admits viewers by the router's tickets where the cluster has a secret, and everybody where it has none. */
export function admitByTicket(nodeId: string, key: SigningKey | undefined, clock: Clock): AdmitViewer {
  if (!key) return async () => ({ isAdmitted: true });
  return async ({ vhost, app, stream, query }, protocol) => {
    const scope = { node: nodeId, name: { vhost, app, stream }, protocol };
    const verdict = await verifyTicket(key, query.get(ticketQueryKey), scope, clock.wallMs());
    return verdict.admitted
      ? { isAdmitted: true, ...(verdict.sessionEndsMs !== undefined && { endsAtMs: verdict.sessionEndsMs }) }
      : { isAdmitted: false, status: 401, reason: sentences[verdict.refusal] };
  };
}
