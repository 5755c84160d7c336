import { queryOf } from "../asked-url.ts";
import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
import type { Viewer } from "../decisions.ts";
import { problemResponse, type Problem } from "../http-errors.ts";
import { traceparentFor } from "../tracing.ts";
import { isProblem } from "../requested-stream.ts";
import { upgradeTimeoutMs, within } from "../within.ts";
import { SignallingRelay, type SignallingSocket } from "../signalling/signalling-relay.ts";

/** The runtime's WebSockets, handed in by `index.ts`: Node has none of this kind. */
export interface SocketMaker {
  /** Accepts the player's upgrade. */
  accept(): { readonly answer: Response; readonly socket: SignallingSocket };
  /** Opens a socket to a node; `undefined` when it gives none. Rejects when it cannot be reached. */
  dial(url: string, headers: Readonly<Record<string, string>>): Promise<SignallingSocket | undefined>;
}

/** Where a player goes first. */
interface FirstNode {
  readonly url: string;
  readonly node: string;
}

/**
 * Signalling that survives its node: which node speaks to this player now, and which after it? `?managed=1`, or for
 * everyone by `HEARTH_SIGNALLING=managed`. The Worker admits the player and chooses its node; the sockets belong to an object
 * of the player's own, where there are objects, else to the Worker.
 * @param sockets of the object, when this runs in one
 */
export async function managedSignalling(c: RouterContext, desk: Desk, sockets: SocketMaker): Promise<Response> {
  const viewer = viewerOf(c, desk, "webrtc");
  if (isProblem(viewer)) return problemResponse(viewer);
  const isInObject = c.env?.playerSockets === sockets;
  if (isInObject) return relay(c, desk, viewer, sockets, readChosen(c.req.header(chosenHeader)));
  const target = await assign(c, desk, viewer, viewer.stream.path, { passesOn: true });
  if (isProblem(target)) return problemResponse(target);
  const first = { url: target.url, node: target.node.id };
  return (await handOver(c, desk, first)) ?? relay(c, desk, viewer, sockets, first);
}

/** The Worker's choice on its way to the object, which nobody else can reach. */
const chosenHeader = "Hearth-Chosen";

/** Hands the upgrade to a new object; `undefined` where there are none, or none can be had. */
async function handOver(c: RouterContext, desk: Desk, first: FirstNode): Promise<Response | undefined> {
  const objects = desk.env.PLAYER_SIGNALLING;
  if (!objects) return undefined;
  const headers = new Headers(c.req.raw.headers);
  headers.set(chosenHeader, encodeURIComponent(JSON.stringify(first)));
  headers.set("traceparent", traceparentFor(c).traceparent);
  try {
    return await objects.get(objects.newUniqueId()).fetch(new Request(c.req.raw, { headers }));
  } catch (thrown) {
    console.error("no object for a player's signalling:", thrown);
    return undefined;
  }
}

function readChosen(text: string | undefined): FirstNode | undefined {
  // Written above.
  return text === undefined ? undefined : (JSON.parse(decodeURIComponent(text)) as FirstNode);
}

/** Relays between the player and one node after another, until the player leaves or no node takes it. */
async function relay(
  c: RouterContext,
  desk: Desk,
  viewer: Viewer,
  sockets: SocketMaker,
  chosen: FirstNode | undefined,
): Promise<Response> {
  let next = chosen;
  let serving: string | undefined;
  let problem: Problem | undefined;
  const choose = async (): Promise<FirstNode | Problem> => {
    // Who gets here was admitted before the first node was chosen.
    const target = await assign(c, desk, viewer, viewer.stream.path, { passesOn: true, hasBegun: true });
    return isProblem(target) ? target : { url: target.url, node: target.node.id };
  };
  const dial = async (): Promise<SignallingSocket | undefined> => {
    // Whoever dials again has lost the node it had.
    if (serving) desk.decisions.reportFailure(serving, desk.nowMs());
    serving = undefined;
    const target = next ?? (await choose());
    next = undefined;
    if (isProblem(target)) {
      problem = target;
      return undefined;
    }
    serving = target.node;
    return within(upgradeTimeoutMs, sockets.dial(target.url, traceparentFor(c)), (late) => late?.close(1000));
  };
  const first = (await dial()) ?? (problem ? undefined : await dial());
  if (!first) return problemResponse(problem ?? nobodyAnswered);
  const { answer, socket } = sockets.accept();
  const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  // Who asked by its URL knows this router; others may not expect a message that OvenMediaEngine does not send.
  const isTold = queryOf(c, "managed") === "1";
  const greeting = () => (isTold && serving !== undefined ? nodeMessage(serving) : undefined);
  new SignallingRelay(socket, { dial, wait, nowMs: desk.nowMs, greeting }).start(first);
  return answer;
}

/** Players take no notice of notifications they do not know; a page may show who serves it. */
const nodeMessage = (id: string): string => JSON.stringify({ command: "notification", type: "node", message: { id } });

const nobodyAnswered: Problem = {
  status: 502,
  code: "node-unreachable",
  sentence: "The nodes chosen for this stream did not answer the router.",
  retryAfterS: 2,
};
