import type { RouterContext } from "./desk.ts";
import type { RouterEnv } from "./env.ts";
import type { Problem } from "./http-errors.ts";

/**
 * Whether the request may see the inside of the cluster: with the operator's token as bearer; without a token configured
 * only at a loopback address, which on the public network no request has.
 */
export async function refuseStranger(c: RouterContext, env: RouterEnv): Promise<Problem | undefined> {
  const token = env.HEARTH_OPERATOR_TOKEN;
  if (!token) return isLoopback(new URL(c.req.url).hostname) ? undefined : closed;
  const [scheme = "", given = ""] = (c.req.header("Authorization") ?? "").split(" ", 2);
  if (scheme.toLowerCase() !== "bearer" || given === "") return missing;
  return (await isSameText(given, token)) ? undefined : wrong;
}

/** `127.0.0.0/8`, `::1` and `localhost`, as a URL parser writes them. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** Compares digests, so that the time taken tells nothing about where two texts differ. */
async function isSameText(a: string, b: string): Promise<boolean> {
  const digest = async (text: string) =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const [left, right] = await Promise.all([digest(a), digest(b)]);
  return left.reduce((difference, byte, at) => difference | (byte ^ right[at]!), 0) === 0;
}

const missing: Problem = {
  status: 401,
  code: "operator-token-missing",
  sentence: "This is for operators: send HEARTH_OPERATOR_TOKEN as bearer token.",
};
const wrong: Problem = { status: 403, code: "operator-token-wrong", sentence: "That is not the operator's token." };
const closed: Problem = {
  status: 403,
  code: "operator-token-unset",
  sentence: "This is for operators: set HEARTH_OPERATOR_TOKEN on the router to open it.",
};
