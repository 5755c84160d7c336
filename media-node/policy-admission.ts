import { askControlServer } from "./admission-webhook.ts";
import {
  bearerOf,
  verifySignedPolicy,
  type PolicyRefusal,
  type PolicyRequest,
} from "./cluster/ticket/signed-policy.ts";
import type { ServerConfig, VhostConfig } from "./config/server-config.ts";
import type { AdmitViewer, ViewerTarget } from "./core/guest.ts";
import type { Clock } from "./time/clock.ts";

const sentences: Record<PolicyRefusal, string> = {
  "no-secret": "the signed policy of this virtual host has no secret",
  "no-policy": "the URL carries no policy",
  "no-signature": "the URL carries no signature",
  "bad-signature": "the signature is not of this URL",
  "bad-policy": "the policy cannot be read",
  expired: "the policy has expired",
  "not-yet": "the policy does not hold yet",
  "wrong-address": "the policy is for another address",
};

/**
 * Admits viewers by the SignedPolicy of their virtual host. For nodes that viewers reach by the URL that was signed: where a
 * router sends them, it has checked the policy, and its ticket vouches.
 */
export function admitBySignedPolicy(configNow: () => ServerConfig, clock: Clock): AdmitViewer {
  return async (target, protocol, authorization) => {
    const config = configNow();
    const policy = vhostOf(config, target)?.signedPolicy;
    if (!policy?.publishers.includes(publisherOf(protocol))) return { isAdmitted: true };
    const request = { ...policyRequest(config, target, protocol), bearer: bearerOf(authorization) };
    const verdict = await verifySignedPolicy(policy, request, clock.wallMs());
    if (verdict.isAdmitted) return { isAdmitted: true };
    return { isAdmitted: false, status: 401, reason: sentences[verdict.refusal] };
  };
}

/** Admits viewers as the control server of their virtual host says. */
export function admitByWebhooks(configNow: () => ServerConfig, clock: Clock, ask = askControlServer): AdmitViewer {
  return async (target, protocol) => {
    const config = configNow();
    const webhooks = vhostOf(config, target)?.admissionWebhooks;
    const publisher = publisherOf(protocol);
    if (!webhooks?.publishers.includes(publisher)) return { isAdmitted: true };
    const { scheme, host, localPort, path, rawQuery, remoteAddress: address } = policyRequest(config, target, protocol);
    const url = `${scheme}://${hasPort(host) ? host : `${host}:${localPort}`}${path}${rawQuery && `?${rawQuery}`}`;
    const question = {
      address,
      protocol: publisher === "llhls" ? "LLHLS" : "WebRTC",
      url,
      wallMs: clock.wallMs(),
    } as const;
    const verdict = await ask(webhooks, question);
    return verdict.isAllowed ? { isAdmitted: true } : { isAdmitted: false, status: 401, reason: verdict.reason };
  };
}

/** Admits whom all admit, asked one after another until the first refusal. */
export function admitInTurn(...doors: readonly AdmitViewer[]): AdmitViewer {
  return async (target, protocol, authorization) => {
    for (const admit of doors) {
      const admission = await admit(target, protocol, authorization);
      if (!admission.isAdmitted) return admission;
    }
    return { isAdmitted: true };
  };
}

function vhostOf({ vhosts }: ServerConfig, target: ViewerTarget): VhostConfig | undefined {
  return vhosts.find(({ name }) => name === target.vhost);
}

function publisherOf(protocol: Parameters<AdmitViewer>[1]): "llhls" | "webrtc" {
  return protocol === "llhls" ? "llhls" : "webrtc";
}

function policyRequest(
  { bind }: ServerConfig,
  { app, stream, file, rawQuery, baseUrl, remoteAddress }: ViewerTarget,
  protocol: Parameters<AdmitViewer>[1],
): PolicyRequest {
  const [base = "", host = ""] = baseUrl.split("://");
  const isTls = base === "https";
  const { port, tlsPort } = protocol === "llhls" ? bind.llhls : bind.webrtc.signalling;
  return {
    scheme: protocol === "webrtc" ? (isTls ? "wss" : "ws") : base,
    host,
    localPort: (isTls ? tlsPort : port) ?? (isTls ? 443 : 80),
    path: `/${app}/${stream}${file === "" ? "" : `/${file}`}`,
    rawQuery,
    // Nothing that a request says about other addresses is believed.
    remoteAddress,
  };
}

function hasPort(host: string): boolean {
  return /:\d+$/.test(host) && !host.endsWith("]");
}
