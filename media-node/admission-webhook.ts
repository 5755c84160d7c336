import type { AdmissionWebhooksConfig } from "./config/server-config.ts";

/** What the control server is told of a viewer who wants to watch, or did. */
export interface WebhookRequest {
  readonly client: {
    /** Of the socket; behind a proxy the proxy's. */
    readonly address: string;
    readonly port?: number | undefined;
    /** Of the viewer, as far as a trusted proxy says it. */
    readonly realAddress: string;
    readonly userAgent?: string | undefined;
  };
  readonly protocol: "WebRTC" | "LLHLS";
  /** Complete, as the viewer asked. */
  readonly url: string;
  readonly wallMs: number;
}

export type WebhookVerdict =
  | {
      readonly isAllowed: true;
      /** The session is to be cut after this time; absent = never. */
      readonly lifetimeMs?: number;
      /** What the viewer is to get in place of what was asked for; complete, and not checked. */
      readonly newUrl?: string;
    }
  | { readonly isAllowed: false; readonly reason: string };

/** Answers are a handful of fields. */
const maxAnswerBytes = 64 * 1024;
const maxReasonLength = 200;
/** A session of more than a hundred years has no end: servers say "for ever" with the largest number they have. */
const longestLifetimeMs = 100 * 365 * 86_400_000;

/**
 * Asks the control server of a virtual host whether a viewer may watch (OvenMediaEngine's AdmissionWebhooks, `opening`).
 * Whatever is not a clear yes is a no: another status, silence beyond the timeout, an answer without `allowed`. It is asked
 * once: asking again would double what a control server in trouble has to do, and players ask again anyway.
 */
export async function askControlServer(
  config: AdmissionWebhooksConfig,
  request: WebhookRequest,
  fetchAnswer: typeof fetch = fetch,
): Promise<WebhookVerdict> {
  try {
    const response = await post(config, bodyOf(request, { status: "opening" }), fetchAnswer);
    if (response.status === 200) return judge(await readText(response));
    await response.body?.cancel();
    return refuse(`the control server answered ${response.status}`);
  } catch {
    return refuse("the control server does not answer");
  }
}

/**
 * Tells the control server that a viewer it admitted is gone (`closing`). Never rejects: nothing hangs on the answer.
 * @param newUrl what the viewer got: `request.url` unless the control server said otherwise
 */
export async function tellControlServer(
  config: AdmissionWebhooksConfig,
  request: WebhookRequest,
  newUrl: string,
  fetchAnswer: typeof fetch = fetch,
): Promise<void> {
  try {
    const response = await post(config, bodyOf(request, { status: "closing", new_url: newUrl }), fetchAnswer);
    await response.body?.cancel();
  } catch {
    // The viewer is gone all the same.
  }
}

function bodyOf(
  { client, protocol, url, wallMs }: WebhookRequest,
  more: { readonly status: "opening" } | { readonly status: "closing"; readonly new_url: string },
): string {
  const { address, port, realAddress, userAgent } = client;
  return JSON.stringify({
    client: { address, port, real_ip: realAddress, user_agent: userAgent },
    request: { direction: "outgoing", protocol, ...more, url, time: new Date(wallMs).toISOString() },
  });
}

async function post(config: AdmissionWebhooksConfig, body: string, fetchAnswer: typeof fetch): Promise<Response> {
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/json",
    "X-OME-Signature": await sign(config.secretKey, body),
  };
  const signal = AbortSignal.timeout(config.timeoutMs);
  return fetchAnswer(config.controlServerUrl, { method: "POST", headers, body, signal, redirect: "error" });
}

function judge(text: string): WebhookVerdict {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return refuse("the control server's answer is no JSON");
  }
  const fields = new Map<string, unknown>(typeof answer === "object" && answer !== null ? Object.entries(answer) : []);
  if (fields.get("allowed") !== true) {
    const reason = fields.get("reason");
    const because = typeof reason === "string" && reason !== "" ? `: ${reason.slice(0, maxReasonLength)}` : "";
    return refuse(`the control server refuses${because}`);
  }
  const newUrl = fields.get("new_url");
  const lifetime = fields.get("lifetime");
  return {
    isAllowed: true,
    ...(typeof newUrl === "string" && newUrl !== "" && { newUrl }),
    ...(typeof lifetime === "number" && lifetime > 0 && lifetime < longestLifetimeMs && { lifetimeMs: lifetime }),
  };
}

async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxAnswerBytes) throw new RangeError("the answer is too long");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Base64url without padding of HMAC-SHA1; `""` where there is no secret, which no server takes for a signature. */
async function sign(secretKey: string, body: string): Promise<string> {
  if (secretKey === "") return "";
  const utf8 = new TextEncoder();
  const algorithm = { name: "HMAC", hash: "SHA-1" };
  const key = await crypto.subtle.importKey("raw", utf8.encode(secretKey), algorithm, false, ["sign"]);
  return Buffer.from(await crypto.subtle.sign("HMAC", key, utf8.encode(body))).toString("base64url");
}

function refuse(reason: string): WebhookVerdict {
  return { isAllowed: false, reason };
}
