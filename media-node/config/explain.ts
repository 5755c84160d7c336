import type { BuiltUrl } from "../cluster/origin-map/build-urls.ts";
import { chooseVhost } from "../cluster/origin-map/choose-vhost.ts";
import { nameProblem, splitPath } from "../cluster/origin-map/split-path.ts";
import { verifySignedPolicy } from "../cluster/ticket/signed-policy.ts";
import { findApplication } from "./find-application.ts";
import { planFromMap, planFromStore, type MapPlan, type NoPlan, type RequestedStream } from "./plan-pull.ts";
import type { ServerConfig, VhostConfig } from "./server-config.ts";

/** What a running node or cluster knows; without it the file alone is explained. */
export interface ExplainLookups {
  /** Whether the node has the stream already. */
  readonly isPublished?: (name: RequestedStream) => boolean;
  /** What the OriginMapStore answers. May reject: then it is said that the store does not answer. */
  readonly lookupStore?: (name: RequestedStream) => Promise<readonly string[]>;
  /** Unix ms, to judge whether a signed policy holds. */
  readonly nowMs?: number;
}

/** One question a node asks of a request, and what came of it. */
export interface ExplainStep {
  readonly question: "host" | "path" | "application" | "access" | "local" | "map" | "store";
  readonly answer: string;
  /** Whether it ends the matter. */
  readonly isDecisive: boolean;
}

/** URLs stand here without passwords. */
export interface Explanation {
  readonly request: { readonly scheme: string; readonly host: string; readonly path: string };
  readonly vhost?: string;
  readonly app?: string;
  readonly stream?: string;
  /** The rule that fits, counted from 1 in its virtual host, and what it makes of the request. */
  readonly rule?: { readonly number: number; readonly location: string; readonly scheme: string };
  readonly built: readonly BuiltUrl[];
  /** What the store said; absent when it was not asked. */
  readonly store?: { readonly isAvailable: boolean; readonly urls: readonly string[] };
  readonly decision: "serve" | "pull" | "not-found" | "refuse" | "ask-store";
  /** In the order in which they are tried. */
  readonly urls: readonly string[];
  readonly reason: string;
  readonly steps: readonly ExplainStep[];
}

/** What has been found out so far. */
type Draft = { -readonly [K in keyof Explanation]?: Explanation[K] } & { steps: ExplainStep[] };

/**
 * `hearth explain`: what a node with this configuration does with a viewer's URL, and why, by the functions that the
 * node itself runs. Precedence: the stream that is there, the OriginMap, the OriginMapStore.
 * @param url `http://host[:port]/app/stream[/file][?query]` (or https, ws, wss), or `/app/stream` for the first virtual host
 */
export async function explainRequest(
  url: string,
  config: ServerConfig,
  lookups: ExplainLookups = {},
): Promise<Explanation> {
  const request = takeApart(url);
  const draft: Draft = { request: { scheme: request.scheme, host: request.host, path: request.path }, steps: [] };
  const vhost = explainHost(request.host, config, draft);
  if (!vhost) return finish(draft, "not-found", "no virtual host answers to the name");
  const { app, stream } = splitPath(request.path);
  Object.assign(draft, { vhost: vhost.name, app, stream });
  const problem = nameProblem("app", app) ?? nameProblem("stream", stream);
  note(draft, "path", problem ?? `application "${app}", stream "${stream}"`, problem !== undefined);
  if (problem !== undefined) return finish(draft, "not-found", problem);
  const name = { vhost: vhost.name, app, stream };
  const refusal = await explainAccess(vhost, request, draft, lookups.nowMs);
  if (refusal !== undefined) return finish(draft, "refuse", refusal);
  if (lookups.isPublished?.(name)) {
    note(draft, "local", "the node has the stream: it is served", true);
    return finish(draft, "serve", "the node has the stream");
  }
  note(
    draft,
    "local",
    lookups.isPublished ? "the node does not have the stream" : "not asked: no node runs here",
    false,
  );
  const application = findApplication(vhost, app);
  note(draft, "application", application.reason, false);
  const plan = planFromMap(config, name, request.rawQuery);
  explainMap(plan, draft);
  if (plan.kind === "urls") {
    await explainAfterRule(config, vhost, name, draft, lookups.lookupStore);
    return finish(draft, "pull", plan.reason, plan.urls.map(withoutPassword));
  }
  return explainStore(config, vhost, name, plan, draft, lookups.lookupStore);
}

interface ViewerUrl {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly rawQuery: string;
}

/** By hand: `URL` would resolve dots and escapes that nodes take as they are. */
function takeApart(url: string): ViewerUrl {
  const match = /^(?:([a-z][a-z\d+.-]*):\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?/i.exec(url);
  const path = match?.[3] ?? "";
  return {
    scheme: match?.[1]?.toLowerCase() ?? "",
    host: match?.[2]?.replace(/^.*@/, "") ?? "",
    path: path.startsWith("/") ? path : `/${path}`,
    rawQuery: match?.[4] ?? "",
  };
}

function explainHost(host: string, config: ServerConfig, draft: Draft): VhostConfig | undefined {
  if (host === "") {
    const [first] = config.vhosts;
    note(
      draft,
      "host",
      first ? `none given: "${first.name}", the first virtual host` : "there is no virtual host",
      !first,
    );
    return first;
  }
  const choice = chooseVhost(config, host);
  note(draft, "host", choice.reason, choice.kind === "none");
  return choice.kind === "vhost" ? choice.vhost : undefined;
}

/** @returns why the viewer would be refused */
async function explainAccess(
  vhost: VhostConfig,
  request: ViewerUrl,
  draft: Draft,
  nowMs: number | undefined,
): Promise<string | undefined> {
  const publisher = publisherOf(request);
  const isCovered = (guard: { readonly publishers: readonly string[] } | undefined): boolean =>
    guard?.publishers.includes(publisher) ?? false;
  const { signedPolicy, admissionWebhooks } = vhost;
  if (isCovered(admissionWebhooks)) {
    note(draft, "access", `the control server is asked before a ${publisher} viewer is admitted`, false);
  }
  if (!signedPolicy || !isCovered(signedPolicy)) {
    if (!isCovered(admissionWebhooks)) note(draft, "access", `open: no policy covers ${publisher}`, false);
    return undefined;
  }
  if (nowMs === undefined || request.host === "") {
    note(draft, "access", `${publisher} viewers need a signed policy; not judged here`, false);
    return undefined;
  }
  const localPort = request.scheme === "https" || request.scheme === "wss" ? 443 : 80;
  const verdict = await verifySignedPolicy(signedPolicy, { ...request, localPort, remoteAddress: "" }, nowMs);
  // The address is not known here, so a policy that asks for one cannot be judged.
  const isRefused = !verdict.isAdmitted && verdict.refusal !== "wrong-address";
  const outcome = isRefused
    ? `refuses: ${verdict.refusal}`
    : verdict.isAdmitted
      ? "admits"
      : "depends on the viewer's address";
  note(draft, "access", `the signed policy ${outcome}`, isRefused);
  return isRefused ? `the signed policy refuses: ${verdict.refusal}` : undefined;
}

function publisherOf({ scheme, path }: ViewerUrl): "webrtc" | "llhls" {
  const { file } = splitPath(path);
  return file.endsWith(".m3u8") && !scheme.startsWith("ws") ? "llhls" : "webrtc";
}

function explainMap(plan: MapPlan | NoPlan, draft: Draft): void {
  const { rule, ruleIndex = 0, built = [] } = plan;
  if (rule) draft.rule = { number: ruleIndex + 1, location: rule.location, scheme: rule.scheme };
  draft.built = built.map((one) => ({
    ...one,
    url: withoutPassword(one.url),
    authority: withoutPassword(one.authority),
  }));
  note(draft, "map", plan.reason, plan.kind === "urls");
}

/** A rule whose Urls all fail once is not the end: the store is asked then, as `StreamHub` does after the round. */
async function explainAfterRule(
  config: ServerConfig,
  vhost: VhostConfig,
  name: RequestedStream,
  draft: Draft,
  lookup: ExplainLookups["lookupStore"],
): Promise<void> {
  if (!vhost.originMapStore) return;
  const otherwise = "if every Url of the rule has failed once";
  if (!lookup) {
    note(draft, "store", `asked ${otherwise}; not done here`, false);
    return;
  }
  try {
    const found = await lookup(name);
    draft.store = { isAvailable: true, urls: found.map(withoutPassword) };
    const plan = planFromStore(config, name, found);
    const next = plan.kind === "urls" ? `then ${plan.urls.map(withoutPassword).join(", ")}` : plan.reason;
    note(draft, "store", `asked ${otherwise}: ${next}`, false);
  } catch {
    draft.store = { isAvailable: false, urls: [] };
    note(draft, "store", `asked ${otherwise}; now it does not answer`, false);
  }
}

async function explainStore(
  config: ServerConfig,
  vhost: VhostConfig,
  name: RequestedStream,
  map: NoPlan,
  draft: Draft,
  lookup: ExplainLookups["lookupStore"],
): Promise<Explanation> {
  if (!vhost.originMapStore) {
    note(draft, "store", `"${vhost.name}" has no OriginMapStore`, true);
    return finish(draft, "not-found", map.reason);
  }
  if (!lookup) {
    note(draft, "store", `the OriginMapStore is asked for "${name.app}/${name.stream}"; not done here`, true);
    return finish(draft, "ask-store", map.reason);
  }
  let found: readonly string[];
  try {
    found = await lookup(name);
  } catch {
    draft.store = { isAvailable: false, urls: [] };
    note(draft, "store", "the OriginMapStore does not answer", true);
    return finish(draft, "not-found", `${map.reason}, and the store does not answer`);
  }
  draft.store = { isAvailable: true, urls: found.map(withoutPassword) };
  const plan = planFromStore(config, name, found);
  note(draft, "store", plan.reason, true);
  return plan.kind === "urls"
    ? finish(draft, "pull", plan.reason, plan.urls.map(withoutPassword))
    : finish(draft, "not-found", `${map.reason}, and ${plan.reason}`);
}

function note(draft: Draft, question: ExplainStep["question"], answer: string, isDecisive: boolean): void {
  draft.steps.push({ question, answer, isDecisive });
}

function finish(
  draft: Draft,
  decision: Explanation["decision"],
  reason: string,
  urls: readonly string[] = [],
): Explanation {
  const { request = { scheme: "", host: "", path: "" }, built = [] } = draft;
  return { ...draft, request, built, decision, urls, reason };
}

function withoutPassword(url: string): string {
  return url.replace(/^([^/?#]*\/\/)?([^/?#@:]*):[^/?#@]*@/, "$1$2:***@");
}

/** An explanation for people; ends with a line feed. */
export function printExplanation(explanation: Explanation): string {
  const { request, decision, reason, urls, steps, built } = explanation;
  const lines = steps.map(({ question, answer }) => `${`${question}:`.padEnd(13)}${answer}`);
  const refused = built.flatMap(({ url, refused }) =>
    refused === undefined ? [] : [`  ${url} is refused: ${refused}`],
  );
  const verdict = {
    serve: "It is served from this node.",
    pull: "It is pulled from, in this order:",
    "not-found": `Nothing is found: ${reason}.`,
    refuse: `The viewer is refused: ${reason}.`,
    "ask-store": `No rule pulls it (${reason}); the OriginMapStore decides.`,
  }[decision];
  const text = [`${request.host}${request.path}`, ...lines, ...refused, verdict, ...urls.map((url) => `  ${url}`), ""];
  return text.map((line) => line.replace(/\p{Cc}/gu, "\uFFFD")).join("\n");
}
