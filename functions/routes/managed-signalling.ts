import { assign, viewerOf, type Desk, type RouterContext } from "../desk.ts";
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

/**
 * Signalling that survives its node: which node speaks to this player now, and which after it? `?managed=1`, or for
 * everyone by `HEARTH_SIGNALLING=managed`. The sockets live as long as the player's; nothing else is kept.
 */
export async function managedSignalling(c: RouterContext, desk: Desk, sockets: SocketMaker): Promise<Response> {
  const viewer = viewerOf(c, desk, "webrtc");
  if (isProblem(viewer)) return problemResponse(viewer);
  let serving: string | undefined;
  let problem: Problem | undefined;
  const dial = async (): Promise<SignallingSocket | undefined> => {
    // Whoever dials again has lost the node it had.
    if (serving) desk.decisions.reportFailure(serving, desk.nowMs());
    serving = undefined;
    const target = await assign(c, desk, viewer, viewer.stream.path, { passesOn: true });
    if (isProblem(target)) {
      problem = target;
      return undefined;
    }
    serving = target.node.id;
    return within(upgradeTimeoutMs, sockets.dial(target.url, traceparentFor(c)), (late) => late?.close(1000));
  };
  const first = (await dial()) ?? (problem ? undefined : await dial());
  if (!first) return problemResponse(problem ?? nobodyAnswered);
  const { answer, socket } = sockets.accept();
  const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  // Who asked by its URL knows this router; others may not expect a message that OvenMediaEngine does not send.
  const isTold = c.req.query("managed") === "1";
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
