import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { ticketQueryKey } from "./cluster/ticket/ticket.ts";
import { crossDomainHeaders } from "./config/cross-domains.ts";
import type { CrossDomainsConfig } from "./config/server-config.ts";
import type { HttpGuest, PlainExchange, ViewerTarget } from "./core/guest.ts";
import { RewrittenExchange } from "./core/rewritten-exchange.ts";

/** What Server.xml says about the headers of an application's answers. */
export interface AnswerRules {
  readonly crossDomains: CrossDomainsConfig;
  readonly methods: string;
}

/**
 * Makes a guest's answers carry the headers that Server.xml asks for, whatever the guest wrote.
 * @param rulesOf undefined where nothing is asked for: then nothing is touched
 */
export function withAnswerHeaders(
  guest: HttpGuest,
  rulesOf: (target: ViewerTarget) => AnswerRules | undefined,
): HttpGuest {
  return {
    serve: (exchange, target) => {
      const rules = rulesOf(target);
      if (!rules) return guest.serve?.(exchange, target) ?? false;
      const ruled = ruledExchange(exchange, target, rules);
      try {
        return guest.serve?.(ruled, target) ?? false;
      } catch (thrown) {
        // The door logs it. A page that may read answers is told what happened, and not that it may not read them.
        ruled.send(500, faultHeaders);
        throw thrown;
      }
    },
    handle: (request, response, target) => {
      ruleResponse(request, response, target, rulesOf(target));
      return guest.handle?.(request, response, target) ?? false;
    },
    upgrade: (request, socket, head, target) => guest.upgrade?.(request, socket, head, target) ?? false,
  };
}

const faultHeaders: readonly string[] = ["Cache-Control", "no-store", "Content-Length", "0"];

/** An exchange whose answer has the headers that are asked for. */
const ruledExchange = (exchange: PlainExchange, target: ViewerTarget, rules: AnswerRules): PlainExchange =>
  new RewrittenExchange(exchange, (headers) =>
    ruled(
      headers,
      corsOf((name) => exchange.header(name), target, rules),
    ),
  );

/** What the CORS headers of an answer depend on, and what they are. */
interface Asked {
  readonly crossDomains: CrossDomainsConfig;
  readonly methods: string;
  readonly origin: string | undefined;
  readonly requestedHeaders: string | undefined;
  readonly isSentOn: boolean;
  readonly cors: readonly string[];
}

/** Viewers of one page ask alike, one after the other. */
let lastAsked: Asked | undefined;

function corsOf(
  header: (name: string) => string | undefined,
  target: ViewerTarget,
  { crossDomains, methods }: AnswerRules,
): readonly string[] {
  const origin = header("origin");
  const requestedHeaders = header("access-control-request-headers");
  // Of no other page does it matter.
  const isSentOn = origin === "null" && (target.query.has(ticketQueryKey) || target.query.has("session"));
  const isAsBefore =
    lastAsked?.crossDomains === crossDomains &&
    lastAsked.methods === methods &&
    lastAsked.origin === origin &&
    lastAsked.requestedHeaders === requestedHeaders &&
    lastAsked.isSentOn === isSentOn;
  if (lastAsked && isAsBefore) return lastAsked.cors;
  const asked = { crossDomains, methods, origin, requestedHeaders, isSentOn };
  lastAsked = { ...asked, cors: crossDomainHeaders(crossDomains, asked) };
  return lastAsked.cors;
}

/** What was made of one array of headers. */
interface Made {
  /** The last, and what it was made with. */
  readonly cors: readonly string[];
  readonly headers: readonly string[];
  readonly byText: Map<string, readonly string[]>;
}

/** Arrays made of others, so that the door meets the same array for the same headers again. */
const made = new WeakMap<readonly string[], Made>();
const maxMadePerArray = 64;

function ruled(headers: readonly string[], cors: readonly string[]): readonly string[] {
  const known = made.get(headers);
  if (known?.cors === cors) return known.headers;
  const byText = known?.byText ?? new Map<string, readonly string[]>();
  const key = JSON.stringify(cors);
  const now = byText.get(key) ?? rewrite(headers, cors);
  if (byText.size < maxMadePerArray) byText.set(key, now);
  made.set(headers, { cors, headers: now, byText });
  return now;
}

function rewrite(headers: readonly string[], cors: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let vary = "";
  const replaced = new Set(cors.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
  for (let index = 0; index < headers.length; index += 2) {
    const [name, value] = [headers[index]!, headers[index + 1]!];
    const lower = name.toLowerCase();
    if (lower === "vary") vary = `${value}, `;
    else if (!replaced.has(lower) && (!lower.startsWith("access-control-") || isKept(lower, cors)))
      kept.push(name, value);
  }
  return [...kept, ...cors, "Vary", `${vary}Origin`];
}

/** What the guest lets a page read stays, where the page may read anything. */
const isKept = (name: string, cors: readonly string[]): boolean => cors.length > 0 && keptNames.has(name);

const keptNames = new Set([
  "access-control-expose-headers",
  "access-control-max-age",
  "access-control-allow-private-network",
]);

const isHeaders = (argument: unknown): argument is OutgoingHttpHeaders =>
  typeof argument === "object" && argument !== null;

/** Of the guest that was asked last: it takes the request, or nobody does. */
const rulesOfResponses = new WeakMap<ServerResponse, AnswerRules | undefined>();

/** The same for an answer that is written by node:http. */
function ruleResponse(
  request: IncomingMessage,
  response: ServerResponse,
  target: ViewerTarget,
  rules: AnswerRules | undefined,
): void {
  const isFirst = !rulesOfResponses.has(response);
  if (isFirst && !rules) return;
  rulesOfResponses.set(response, rules);
  if (!isFirst) return;
  const header = (name: string): string | undefined => request.headers[name]?.toString();
  const writeHead = response.writeHead.bind(response);
  const write = (status: number, ...rest: unknown[]): ServerResponse => {
    const now = rulesOfResponses.get(response);
    const given = rest.find(isHeaders) ?? {};
    if (!now) return writeHead(status, given);
    const headers = Object.entries(given).flatMap(([name, value]) => [name, String(value)]);
    return writeHead(status, [...rewrite(headers, corsOf(header, target, now))]);
  };
  response.writeHead = write;
}
