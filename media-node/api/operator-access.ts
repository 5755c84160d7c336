import type { IncomingMessage } from "node:http";
import { isSameSecret } from "../bytes/same-secret.ts";

/** Why the request is not an operator's. */
export function refusalOf(
  request: IncomingMessage,
  token: string | undefined,
): { readonly status: number; readonly reason: string } | undefined {
  if (token) {
    return tokensIn(request.headers.authorization ?? "").some((given) => isSameSecret(given, token))
      ? undefined
      : { status: 401, reason: "send Authorization: Bearer and the token of HEARTH_OPERATOR_TOKEN" };
  }
  // Without a token being on this machine is what counts; a page in a browser on this machine is somebody else.
  const host = (request.headers.host ?? "").replace(/:\d*$/, "");
  return isLoopback(host) && request.headers.origin === undefined
    ? undefined
    : { status: 403, reason: "ask from this machine by its loopback address, or set HEARTH_OPERATOR_TOKEN" };
}

/** Bearer; or Basic in OvenMediaEngine's way, `base64(<token>)`, and as curl and Prometheus send it, the token as password. */
export function tokensIn(authorization: string): string[] {
  const [, scheme = "", given = ""] = /^(Bearer|Basic) +(.+)$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== "basic") return scheme === "" ? [] : [given];
  const text = Buffer.from(given, "base64").toString("utf8");
  return [text, text.slice(text.indexOf(":") + 1)];
}

/** Whether an address, or the name in a request's `Host`, is this machine's own. */
export function isLoopback(address: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(address);
}
