import type { AdmissionWebhooksConfig } from "./config/server-config.ts";

/** What the control server is told of a viewer who wants to watch. */
export interface WebhookRequest {
  readonly address: string;
  readonly protocol: "WebRTC" | "LLHLS";
  /** Complete, as the viewer asked. */
  readonly url: string;
  readonly wallMs: number;
}

export type WebhookVerdict = { readonly isAllowed: true } | { readonly isAllowed: false; readonly reason: string };

/** Answers are a handful of fields. */
const maxAnswerBytes = 64 * 1024;

/**
 * Asks the control server of a virtual host whether a viewer may watch (OvenMediaEngine's AdmissionWebhooks, `opening`).
 * Whatever is not a clear yes is a no: another status, silence beyond the timeout, an answer without `allowed`, and a
 * `new_url` that names something else, which a node cannot turn an admitted request into.
 */
export async function askControlServer(
  config: AdmissionWebhooksConfig,
  request: WebhookRequest,
  fetchAnswer: typeof fetch = fetch,
): Promise<WebhookVerdict> {
  const { address, protocol, url, wallMs } = request;
  const time = new Date(wallMs).toISOString();
  const body = JSON.stringify({
    client: { address },
    request: { direction: "outgoing", protocol, status: "opening", url, time },
  });
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/json",
    "X-OME-Signature": await sign(config.secretKey, body),
  };
  try {
    const signal = AbortSignal.timeout(config.timeoutMs);
    const response = await fetchAnswer(config.controlServerUrl, {
      method: "POST",
      headers,
      body,
      signal,
      redirect: "error",
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return refuse(`the control server answered ${response.status}`);
    }
    return judge(await readText(response), url);
  } catch {
    return refuse("the control server does not answer");
  }
}

function judge(text: string, url: string): WebhookVerdict {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return refuse("the control server's answer is no JSON");
  }
  const fields = new Map<string, unknown>(typeof answer === "object" && answer !== null ? Object.entries(answer) : []);
  const newUrl = fields.get("new_url");
  if (fields.get("allowed") !== true) return refuse("the control server refuses");
  if (typeof newUrl === "string" && newUrl !== "" && newUrl !== url) {
    return refuse("the control server sends the viewer elsewhere, which this node cannot do");
  }
  return { isAllowed: true };
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
