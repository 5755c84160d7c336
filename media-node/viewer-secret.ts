import { createHash, randomBytes } from "node:crypto";
import type { ServerConfig, VhostConfig } from "./config/server-config.ts";

/** For guards without a key of their own: then no other node knows it, and viewers stay where they began. */
const ownSecret = randomBytes(32).toString("hex");
const made = new WeakMap<VhostConfig, string | undefined>();

/**
 * What signs LL-HLS viewers' tokens where the cluster has no secret: made of the keys of the virtual host's guards, so that
 * every node with the same Server.xml takes them. Undefined where nothing guards LL-HLS: then everybody may watch.
 */
export function viewerSecretOf({ vhosts }: ServerConfig, name: string): string | undefined {
  const vhost = vhosts.find((candidate) => candidate.name === name);
  if (!vhost) return undefined;
  const known = made.get(vhost);
  if (known !== undefined || made.has(vhost)) return known;
  made.set(vhost, secretOf(vhost));
  return made.get(vhost);
}

function secretOf(vhost: VhostConfig): string | undefined {
  const guards = [vhost.signedPolicy, vhost.admissionWebhooks].filter((guard) => guard?.publishers.includes("llhls"));
  if (guards.length === 0) return undefined;
  const keys = guards.map((guard) => guard?.secretKey ?? "");
  const secret = createHash("sha256")
    .update(JSON.stringify(["hearth llhls viewers", vhost.name, keys]))
    .digest("hex");
  return keys.every((key) => key === "") ? ownSecret : secret;
}
