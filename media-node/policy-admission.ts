import {
  bearerOf,
  verifySignedPolicy,
  type PolicyRefusal,
  type PolicyRequest,
} from "./cluster/ticket/signed-policy.ts";
import type { ServerConfig, VhostConfig } from "./config/server-config.ts";
import type { Admitted, AdmitViewer, ViewerTarget } from "./core/guest.ts";
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
 * Admits viewers by the SignedPolicy of their virtual host, until its `stream_expire`. For nodes that viewers reach by the
 * URL that was signed: where a router sends them, it has checked the policy, and its ticket vouches.
 */
export function admitBySignedPolicy(configNow: () => ServerConfig, clock: Clock): AdmitViewer {
  return async (target, protocol, authorization) => {
    const config = configNow();
    const policy = vhostOf(config, target)?.signedPolicy;
    if (!policy?.publishers.includes(publisherOf(protocol))) return { isAdmitted: true };
    const request = { ...policyRequest(config, target, protocol), bearer: bearerOf(authorization) };
    const verdict = await verifySignedPolicy(policy, request, clock.wallMs());
    if (!verdict.isAdmitted) return { isAdmitted: false, status: 401, reason: sentences[verdict.refusal] };
    const { streamExpireMs } = verdict;
    return { isAdmitted: true, ...(streamExpireMs !== undefined && { endsAtMs: streamExpireMs }) };
  };
}

/**
 * Admits whom all admit, asked one after another until the first refusal. The earliest end holds; what one door puts in
 * place of the target the next one sees.
 */
export function admitInTurn(...doors: readonly AdmitViewer[]): AdmitViewer {
  return async (target, protocol, authorization) => {
    const given: Admitted[] = [];
    let now = target;
    for (const admit of doors) {
      const admission = await admit(now, protocol, authorization);
      if (!admission.isAdmitted) {
        for (const { onEnd } of given) onEnd?.();
        return admission;
      }
      given.push(admission);
      now = admission.target ?? now;
    }
    const ends = given.flatMap(({ endsAtMs }) => endsAtMs ?? []);
    const closers = given.flatMap(({ onEnd }) => onEnd ?? []);
    return {
      isAdmitted: true,
      ...(ends.length > 0 && { endsAtMs: Math.min(...ends) }),
      ...(now !== target && { target: now }),
      ...(closers.length > 0 && { onEnd: () => closers.forEach((close) => close()) }),
    };
  };
}

export function vhostOf({ vhosts }: ServerConfig, target: ViewerTarget): VhostConfig | undefined {
  return vhosts.find(({ name }) => name === target.vhost);
}

/** The publisher as policies name it: WHEP is WebRTC. */
export function publisherOf(protocol: Parameters<AdmitViewer>[1]): "llhls" | "webrtc" {
  return protocol === "llhls" ? "llhls" : "webrtc";
}

/** A viewer's request as OvenMediaEngine would see and sign it. */
export function policyRequest(
  { bind }: ServerConfig,
  { app, stream, file, rawQuery, baseUrl, remoteAddress, peer }: ViewerTarget,
  protocol: Parameters<AdmitViewer>[1],
): PolicyRequest {
  const [base = "", host = ""] = baseUrl.split("://");
  const isTls = base === "https";
  const { port, tlsPort } = protocol === "llhls" ? { ...bind.hls, ...bind.llhls } : bind.webrtc.signalling;
  return {
    scheme: protocol === "webrtc" ? (isTls ? "wss" : "ws") : base,
    host,
    localPort: (isTls ? tlsPort : port) ?? (isTls ? 443 : 80),
    path: `/${app}/${stream}${file === "" ? "" : `/${file}`}`,
    rawQuery,
    remoteAddress: peer?.address ?? remoteAddress,
    realAddress: remoteAddress,
  };
}
