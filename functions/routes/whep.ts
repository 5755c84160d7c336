import { redirectTo } from "../cors.ts";
import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse, type Problem } from "../http-errors.ts";
import { isProblem } from "../requested-stream.ts";
import { traceparentFor } from "../tracing.ts";

/** Longest SDP offer that is passed on; browsers send 2 to 8 KiB. */
const maxOfferBytes = 64 * 1024;

/**
 * WHEP: which node takes this offer? 307, which keeps method and body. `?via=proxy`, for clients that do not follow a
 * redirected POST: the offer is passed on and the node's answer returned; its `Location` is absolute, so the session goes
 * on without the router. Either way a bearer token ends here: the ticket in the URL is what the node is shown.
 */
export async function whep(c: RouterContext, desk: Desk): Promise<Response> {
  const viewer = viewerOf(c, desk, "whep");
  if (isProblem(viewer)) return problemResponse(viewer);
  const isProxied = c.req.query("via") === "proxy";
  const offer = isProxied ? await readOffer(c.req.raw) : undefined;
  if (isProxied && !offer) return problemResponse(tooLong);
  for (const isLast of [false, true]) {
    const target = await assign(c, desk, viewer, viewer.stream.path, { passesOn: isProxied });
    if (isProblem(target)) return problemResponse(target);
    if (!offer) return redirectTo(c, 307, target.url);
    const answer = await passOn(c, desk, target.url, offer);
    if (answer && (answer.status < 500 || isLast)) return answer;
    desk.decisions.reportFailure(target.node.id, desk.nowMs());
    await answer?.body?.cancel();
  }
  return problemResponse(nobodyAnswered);
}

async function passOn(
  c: RouterContext,
  desk: Desk,
  url: string,
  offer: Uint8Array<ArrayBuffer>,
): Promise<Response | undefined> {
  const type = c.req.header("Content-Type") ?? "application/sdp";
  const headers = new Headers({ "Content-Type": type, ...traceparentFor(c) });
  try {
    return await desk.fetch(url, {
      method: "POST",
      headers,
      body: offer,
      redirect: "manual",
      signal: AbortSignal.timeout(10_000),
    });
  } catch {
    return undefined;
  }
}

/** The whole body, or nothing when it is longer than an offer can be. */
async function readOffer(request: Request): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxOfferBytes) return undefined;
    chunks.push(chunk);
  }
  const offer = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    offer.set(chunk, at);
    at += chunk.length;
  }
  return offer;
}

const tooLong: Problem = {
  status: 413,
  code: "offer-too-long",
  sentence: `An SDP offer may have ${maxOfferBytes / 1024} KiB at most.`,
};
const nobodyAnswered: Problem = {
  status: 502,
  code: "node-unreachable",
  sentence: "The nodes chosen for this stream did not answer the router.",
  retryAfterS: 2,
};
