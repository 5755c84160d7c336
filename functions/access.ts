import { bearerOf, verifySignedPolicy } from "#cluster/ticket/signed-policy.ts";
import type { Viewer } from "./decisions.ts";
import type { Desk, RouterContext } from "./desk.ts";
import type { Problem } from "./http-errors.ts";

export interface Access {
  /** Unix ms at which the node has to cut the session. */
  readonly sessionEndsMs?: number | undefined;
}

/**
 * Whether a viewer may watch, by the virtual host's signed policy. Checked here, because the URL that was signed names this
 * host, and because a bearer token gets no further: browsers drop it when they follow the redirect. The ticket tells the node.
 * @param asked the URL as the viewer's player would ask for it: path, and query without our own keys
 * @param hasBegun it was admitted before, and has lost its node
 */
export async function checkAccess(
  c: RouterContext,
  desk: Desk,
  { url, stream, protocol }: Viewer,
  asked: { path: string; search: string },
  hasBegun = false,
): Promise<Access | Problem> {
  const policy = desk.vhosts.policyFor(stream.name.vhost, protocol);
  if (!policy) return {};
  const isSecure = url.protocol === "https:";
  const verdict = await verifySignedPolicy(
    policy,
    {
      scheme: `${protocol === "webrtc" ? "ws" : "http"}${isSecure ? "s" : ""}`,
      host: url.host,
      localPort: isSecure ? 443 : 80,
      path: asked.path,
      rawQuery: asked.search.replace(/^\?/, ""),
      bearer: protocol === "whep" ? bearerOf(c.req.header("Authorization")) : undefined,
      // Written by the edge network, which overwrites what a client claims. Without it no address is known, so none fits.
      remoteAddress: c.req.header("CF-Connecting-IP") ?? "",
      hasBegun,
    },
    desk.nowMs(),
  );
  if (verdict.isAdmitted) return { sessionEndsMs: verdict.streamExpireMs };
  const { refusal } = verdict;
  return {
    status: refusal === "no-policy" || refusal === "no-signature" ? 401 : 403,
    code: refusal,
    sentence: `This stream is for viewers with a signed policy: ${refusalWords[refusal]}.`,
  };
}

const refusalWords = {
  "no-secret": "the router's Server.xml has no SecretKey to check it with",
  "no-policy": "the URL has none",
  "no-signature": "the URL is not signed",
  "bad-signature": "the signature does not fit this URL",
  "bad-policy": "the policy cannot be read",
  expired: "it has expired",
  "not-yet": "it is not valid yet",
  "wrong-address": "it is for another address",
} as const;
