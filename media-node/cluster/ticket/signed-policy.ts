import { isInRange } from "./ip-range.ts";
import { fromBase64Url } from "./signing-key.ts";

/** The part of `<SignedPolicy>` that verification needs. */
export interface SignedPolicySettings {
  readonly policyKey: string;
  readonly signatureKey: string;
  readonly secretKey: string;
}

/** A viewer's request as it reached us. */
export interface PolicyRequest {
  /** `ws`, `wss`, `http` or `https`. */
  readonly scheme: string;
  /** `Host` header; the local port is added where it names none, as OvenMediaEngine signs it. */
  readonly host: string;
  readonly localPort: number;
  /** As it came, beginning with `/`. */
  readonly path: string;
  /** As it came, without `?`. */
  readonly rawQuery: string;
  /** Of `Authorization: Bearer`: `policy.signature`, which stands for the same two at the end of the query. */
  readonly bearer?: string | undefined;
  /** Of the socket. */
  readonly remoteAddress: string;
  /** `X-REAL-IP`, else the first of `X-FORWARDED-FOR`. Absent: the socket's address. */
  readonly realAddress?: string | undefined;
  /** Of a viewer who was admitted and only moves to another node: `url_expire` says until when one may begin. */
  readonly hasBegun?: boolean;
}

/** Why a viewer is refused; stable, so that it can be counted. */
export type PolicyRefusal =
  "no-secret" | "no-policy" | "no-signature" | "bad-signature" | "bad-policy" | "expired" | "not-yet" | "wrong-address";

export type PolicyVerdict =
  /** `streamExpireMs`: Unix ms at which the session must be cut. */
  | { readonly isAdmitted: true; readonly streamExpireMs?: number }
  | { readonly isAdmitted: false; readonly refusal: PolicyRefusal };

/** Longer policies hold nothing we read. */
const maxPolicyLength = 4_096;
/** Twenty bytes take 27 characters, and one of padding. */
const maxSignatureLength = 64;

/**
 * Whether a request carries a policy that its signature covers and that holds now. Never throws.
 * @param nowMs Unix ms
 */
export async function verifySignedPolicy(
  settings: SignedPolicySettings,
  asSent: PolicyRequest,
  nowMs: number,
): Promise<PolicyVerdict> {
  // An empty key would let everybody sign: OvenMediaEngine takes it, we take nobody.
  if (settings.secretKey === "") return refuse("no-secret");
  const request = withBearer(settings, asSent);
  const policy = parameterOf(request.rawQuery, settings.policyKey);
  const signature = parameterOf(request.rawQuery, settings.signatureKey);
  if (!policy || policy.length > maxPolicyLength) return refuse(policy ? "bad-policy" : "no-policy");
  if (!signature) return refuse("no-signature");
  const url = urlToSign(request, settings.signatureKey);
  if (!(await isSignedUrl(settings.secretKey, url, signature))) return refuse("bad-signature");
  const rules = parsePolicy(policy);
  return rules ? apply(rules, request, nowMs) : refuse("bad-policy");
}

/** What a query says stands: a bearer is for players that cannot add to their URL. */
function withBearer({ policyKey, signatureKey }: SignedPolicySettings, request: PolicyRequest): PolicyRequest {
  const { rawQuery, bearer } = request;
  if (!bearer || parameterOf(rawQuery, policyKey) !== undefined) return request;
  const [, policy, signature] = /^([\w-]+=*)\.([\w-]+=*)$/.exec(bearer) ?? [];
  if (policy === undefined) return request;
  const added = `${policyKey}=${policy}&${signatureKey}=${signature}`;
  return { ...request, rawQuery: rawQuery === "" ? added : `${rawQuery}&${added}` };
}

/** The token of an `Authorization: Bearer` header (RFC 6750 §2.1); `undefined` when there is none. */
export function bearerOf(authorization: string | undefined | null): string | undefined {
  return /^bearer +([\w.~+/-]+=*) *$/i.exec(authorization ?? "")?.[1];
}

/**
 * What is signed: the request's URL with port and without the signature, everything else as it came and in its order.
 */
export function urlToSign(request: PolicyRequest, signatureKey: string): string {
  const { scheme, host, localPort, path, rawQuery } = request;
  const hasPort = /:\d+$/.test(host) && !host.endsWith("]");
  const query = rawQuery.split("&").filter((parameter) => parameter.split("=", 1)[0] !== signatureKey);
  const rest = query.join("&");
  return `${scheme}://${hasPort ? host : `${host}:${localPort}`}${path}${rest === "" ? "" : `?${rest}`}`;
}

/** Whether `signature` is the base64url (padding allowed) of HMAC-SHA1 over `url`; compared in constant time. */
export async function isSignedUrl(secretKey: string, url: string, signature: string): Promise<boolean> {
  const bytes = signature.length <= maxSignatureLength ? fromBase64Url(withoutPadding(signature)) : undefined;
  if (bytes?.length !== 20 || secretKey === "") return false;
  const utf8 = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-1" };
  const key = await crypto.subtle.importKey("raw", utf8.encode(secretKey), algorithm, false, ["verify"]);
  return crypto.subtle.verify("HMAC", key, bytes, utf8.encode(url));
}

/** By hand: `/=+$/` would begin anew at each of many. */
function withoutPadding(text: string): string {
  let end = text.length;
  while (end > 0 && text[end - 1] === "=") end--;
  return text.slice(0, end);
}

interface PolicyRules {
  readonly urlExpireMs: number;
  readonly urlActivateMs?: number;
  readonly streamExpireMs?: number;
  readonly allowIp?: string;
  readonly realIp?: string;
}

/** Optional fields of a wrong type count as absent, as in OvenMediaEngine. */
function parsePolicy(policy: string): PolicyRules | undefined {
  const bytes = fromBase64Url(withoutPadding(policy));
  if (!bytes) return undefined;
  let fields: Map<string, unknown>;
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    fields = new Map(Object.entries(value));
  } catch {
    return undefined;
  }
  const [urlExpireMs, urlActivateMs, streamExpireMs] = ["url_expire", "url_activate", "stream_expire"].map((name) =>
    toTime(fields.get(name)),
  );
  const [allowIp, realIp] = ["allow_ip", "real_ip"].map((name) => toText(fields.get(name)));
  if (urlExpireMs === undefined) return undefined;
  return {
    urlExpireMs,
    ...(urlActivateMs !== undefined && { urlActivateMs }),
    ...(streamExpireMs !== undefined && { streamExpireMs }),
    ...(allowIp !== undefined && { allowIp }),
    ...(realIp !== undefined && { realIp }),
  };
}

function toTime(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function toText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function apply(rules: PolicyRules, request: PolicyRequest, nowMs: number): PolicyVerdict {
  const { urlExpireMs, urlActivateMs, streamExpireMs, allowIp, realIp } = rules;
  const { remoteAddress, realAddress, hasBegun = false } = request;
  if (nowMs > urlExpireMs && !hasBegun) return refuse("expired");
  if (streamExpireMs !== undefined && nowMs > streamExpireMs) return refuse("expired");
  if (urlActivateMs !== undefined && nowMs < urlActivateMs) return refuse("not-yet");
  const isAllowed = allowIp === undefined || isInRange(remoteAddress, allowIp) === true;
  const isReal = realIp === undefined || isInRange(realAddress ?? remoteAddress, realIp) === true;
  if (!isAllowed || !isReal) return refuse("wrong-address");
  return { isAdmitted: true, ...(streamExpireMs !== undefined && { streamExpireMs }) };
}

/** The first value of a query key, percent-decoded. */
function parameterOf(rawQuery: string, key: string): string | undefined {
  if (key === "") return undefined;
  for (const parameter of rawQuery.split("&")) {
    const equals = parameter.indexOf("=");
    if (equals < 0 || parameter.slice(0, equals) !== key) continue;
    try {
      return decodeURIComponent(parameter.slice(equals + 1));
    } catch {
      return undefined;
    }
  }
  return undefined;
}

function refuse(refusal: PolicyRefusal): PolicyVerdict {
  return { isAdmitted: false, refusal };
}
