import type { Context } from "hono";
import type { NodeChoice } from "#cluster/node-choice/choose-node.ts";
import type { SigningKey } from "#cluster/ticket/signing-key.ts";
import { ticketIssuedMs, ticketQueryKey, type ViewerProtocol } from "#cluster/ticket/ticket.ts";
import type { ViewerPlace } from "#cluster/node-choice/nearness.ts";
import { checkAccess } from "./access.ts";
import { askedUrl, queryOf, type AskedUrl } from "./asked-url.ts";
import type { Decisions, Viewer } from "./decisions.ts";
import type { RouterEnv } from "./env.ts";
import { isProblem, parseRequestedStream } from "./requested-stream.ts";
import type { Problem } from "./http-errors.ts";
import { ticketedUrl, type NodeUrl } from "./node-url.ts";
import type { SocketMaker } from "./routes/managed-signalling.ts";
import type { Moment } from "./stores/cluster-memory.ts";
import type { Tickets } from "./tickets.ts";
import { traceOf, type LogLine, type Trace } from "./tracing.ts";
import type { Vhosts } from "./vhosts.ts";

/** What every route needs, handed to it by `app.ts`. */
export interface Desk {
  readonly env: RouterEnv;
  readonly decisions: Decisions;
  readonly vhosts: Vhosts;
  readonly key: SigningKey | undefined;
  readonly tickets: Tickets;
  /** Unix ms. */
  readonly nowMs: () => number;
  /** For what is passed through to a node. */
  readonly fetch: (url: string, init: RequestInit | Request) => Promise<Response>;
  readonly log: LogLine;
}

/** What Hono's types hold for the router: its environment, and what one request has found out so far. */
export interface RouterTypes {
  readonly Bindings: RouterEnv & {
    /** The sockets of the object that this request was handed to, see `player-signalling.ts`. */
    readonly playerSockets?: SocketMaker;
  };
  readonly Variables: {
    readonly url: AskedUrl;
    readonly trace?: Trace;
    /** Whether its answer was made with all that every answer says, see `cors.ts`. */
    readonly isMarked?: boolean;
  };
}

export type RouterContext = Context<RouterTypes>;

/** Who asks for what, from the request alone. */
export function viewerOf(c: RouterContext, desk: Desk, protocol: ViewerProtocol, under = ""): Viewer | Problem {
  traceOf(c);
  const url = askedUrl(c);
  const stream = parseRequestedStream(url.path, url.hostname, desk.vhosts, under);
  return isProblem(stream) ? stream : { url, stream, protocol, place: placeOf(c.req.raw), avoid: avoidedBy(c) };
}

/** `?avoid=edge-1,edge-2`: a player that lost its node knows it some seconds before the store does. */
function avoidedBy(c: RouterContext): readonly string[] | undefined {
  return queryOf(c, "avoid")?.split(",", 8);
}

/**
 * Now, and the platform's way to finish work after the answer; outside of workerd it just goes on.
 * @param passesOn the request itself goes on to a node: that and the store are the two round trips it may take
 */
export function momentOf(c: RouterContext, desk: Desk, passesOn = false): Moment {
  const later = (work: Promise<unknown>) => {
    try {
      c.executionCtx.waitUntil(work);
    } catch {
      work.catch(() => {});
    }
  };
  return { nowMs: desk.nowMs(), later: passesOn ? undefined : later };
}

/** Where a viewer goes, and which nodes would be next. */
export interface Assigned extends NodeUrl {
  /** With the reason, and who would have been next. */
  readonly choice: NodeChoice | undefined;
}

interface AssignOptions {
  /** Instead of the request's own query. */
  readonly search?: string;
  /** See {@link momentOf}. The trace id then goes in a header, see {@link traceparentFor}, and not in the URL. */
  readonly passesOn?: boolean;
  /** The viewer watches already, and has lost its node. */
  readonly hasBegun?: boolean;
}

/** Decides for a viewer, logs it, and makes the URL at the node that speaks `protocol` there. */
export async function assign(
  c: RouterContext,
  desk: Desk,
  viewer: Viewer,
  path: string,
  options: AssignOptions = {},
): Promise<Assigned | Problem> {
  const assigned = await decide(c, desk, viewer, path, options);
  const { name } = viewer.stream;
  const trace = traceOf(c);
  const asked = { trace: trace.id, vhost: name.vhost, app: name.app, stream: name.stream, protocol: viewer.protocol };
  if (isProblem(assigned)) desk.log({ event: "viewer not routed", ...asked, code: assigned.code });
  else if (isFollowed(desk, trace)) {
    desk.log({ event: "viewer routed", ...asked, to: assigned.node.id, reason: assigned.choice?.reason });
  }
  return assigned;
}

/**
 * Whether a viewer who was routed is worth a line, which costs as much as the decision: those that somebody traces, one in
 * a hundred of the others, or everybody.
 */
function isFollowed({ env }: Desk, trace: Trace): boolean {
  return env.HEARTH_LOG_VIEWERS === "all" || trace.isBrought || trace.id < "028f";
}

async function decide(
  c: RouterContext,
  desk: Desk,
  viewer: Viewer,
  path: string,
  { search = viewer.url.search, passesOn = false, hasBegun }: AssignOptions,
): Promise<Assigned | Problem> {
  if (await isBack(c, desk)) return inCircles;
  const access = await checkAccess(c, desk, viewer, { path, search }, hasBegun);
  if (isProblem(access)) return access;
  const { outcome, choice } = await desk.decisions.decide(viewer, momentOf(c, desk, passesOn));
  if (isProblem(outcome)) return outcome;
  if (outcome.node.url === viewer.url.origin) return ownUrl(outcome.node.id);
  const scope = { node: outcome.node.id, name: viewer.stream.name, protocol: viewer.protocol };
  const ticket = await desk.tickets.issue(scope, desk.nowMs(), access.sessionEndsMs);
  return {
    ...ticketedUrl(outcome.node, path, search, ticket, passesOn ? undefined : traceOf(c).id),
    choice,
  };
}

/** Whether this viewer was sent away with a ticket a moment ago: whoever follows a redirect does it at once. */
async function isBack(c: RouterContext, desk: Desk): Promise<boolean> {
  const ticket = queryOf(c, ticketQueryKey);
  const issuedMs = desk.key && ticket ? await ticketIssuedMs(desk.key, ticket) : undefined;
  return issuedMs !== undefined && Math.abs(desk.nowMs() - issuedMs) < loopMs;
}

const loopMs = 5_000;
const inCircles: Problem = {
  status: 508,
  code: "routed-twice",
  sentence: "The router sent this viewer to a node and got it back: a node's public address leads to the router.",
};

function ownUrl(node: string): Problem {
  return {
    status: 508,
    code: "node-names-router",
    sentence: `Node ${node} gives the router's address as its own: set its public address, or viewers would go round in circles.`,
  };
}

/** `request.cf` on the edge network; nothing elsewhere. */
function placeOf(request: Request): ViewerPlace | undefined {
  const cf: unknown = "cf" in request ? request.cf : undefined;
  if (typeof cf !== "object" || cf === null) return undefined;
  const word = (key: string) => {
    const value: unknown = Reflect.get(cf, key);
    return typeof value === "string" ? value : "";
  };
  return { continent: word("continent"), country: word("country"), colo: word("colo") };
}
