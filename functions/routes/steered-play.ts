import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import { problemResponse, type Problem } from "../http-errors.ts";
import { withoutKey } from "../node-url.ts";
import { isProblem } from "../requested-stream.ts";
import { traceparentFor } from "../tracing.ts";
import { steeredMaster } from "../steering/steered-master.ts";

/** With three nodes a player has somewhere to go while two of them are restarted, also where it knows no clones. */
const furtherNodes = 2;
/** Longest master playlist that is read; one has a few kilobytes. */
const maxPlaylistLength = 256 * 1024;

/**
 * LL-HLS with content steering, `?steering=1`: which nodes can play this? The master playlist of one, written for three,
 * so that a player moves by itself when its node drains or dies.
 */
export async function steeredPlay(c: RouterContext, desk: Desk): Promise<Response> {
  const viewer = viewerOf(c, desk, "llhls");
  if (isProblem(viewer)) return problemResponse(viewer);
  const { path } = viewer.stream;
  const target = await assign(c, desk, viewer, path, { passesOn: true });
  if (isProblem(target)) return problemResponse(target);
  const answer = await fetchMaster(c, desk, target.url);
  if (!answer) {
    desk.decisions.reportFailure(target.node.id, desk.nowMs());
    return problemResponse(silentNode);
  }
  if (answer.status !== 200) return answer;
  const text = await answer.text();
  if (text.length > maxPlaylistLength || !text.startsWith("#EXTM3U")) return problemResponse(silentNode);
  const next = target.choice?.node ? target.choice.runnersUp.slice(0, furtherNodes) : [];
  const nodes = [target.node, ...next.map(({ record }) => record)];
  const search = withoutKey(viewer.url.search, "steering").join("&");
  const pathways = nodes.map((node) => ({ id: node.id, base: `${node.url}${path}${search && `?${search}`}` }));
  const { app, stream } = viewer.stream.name;
  const serverUri = new URL(
    `${viewer.url.origin}/-/steer/${app}/${stream}?pathways=${nodes.map(({ id }) => id).join(",")}`,
  ).href;
  return new Response(steeredMaster(text, pathways, serverUri), {
    headers: { "Content-Type": "application/vnd.apple.mpegurl" },
  });
}

async function fetchMaster(c: RouterContext, desk: Desk, url: string): Promise<Response | undefined> {
  try {
    // A node holds a first request for up to 8 s, until its pull is playable.
    const signal = AbortSignal.timeout(10_000);
    return await desk.fetch(url, { headers: traceparentFor(c), redirect: "manual", signal });
  } catch {
    return undefined;
  }
}

const silentNode: Problem = {
  status: 502,
  code: "node-unreachable",
  sentence: "The node chosen for this stream gave the router no playlist.",
  retryAfterS: 2,
};
