import type { ServerResponse } from "node:http";

/** What a call comes to, before it is written: OvenMediaEngine's envelope around `response`. */
export interface RestAnswer {
  readonly statusCode: number;
  /** Without `[HTTP]` and code around it; `OK` for what went well. */
  readonly message: string;
  readonly response?: unknown;
}

/** A call that cannot be done; its answer is its message in the envelope. */
export class RestError extends Error {
  override readonly name = "RestError";
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

export const ok = (response?: unknown): RestAnswer => ({ statusCode: 200, message: "OK", response });

export const readOnly = (what: string, name: string): RestError =>
  new RestError(403, `The ${what} is read-only: [${name}]`);

export const notThere = (what: string, name: string): RestError =>
  new RestError(404, `Could not find the ${what}: [${name}]`);

/** Writes `{"statusCode":…,"message":…,"response":…}`; failures read `[HTTP] <text> (<code>)`, as in OvenMediaEngine. */
export function sendAnswer(response: ServerResponse, { statusCode, message, response: value }: RestAnswer): void {
  const isGood = statusCode < 300;
  const body = {
    statusCode,
    message: isGood ? message : `[HTTP] ${message} (${statusCode})`,
    ...(value !== undefined && { response: value }),
  };
  response.writeHead(statusCode, { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store" });
  response.end(`${JSON.stringify(body)}\n`);
}

/** @throws {RestError} 400 for what is none */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw bad("the body is no JSON");
  }
}

/** Its own members alone; undefined for what is no object. */
export function objectOf(value: unknown): Record<string, unknown> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.assign(Object.create(null) as Record<string, unknown>, value)
    : undefined;
}

export const bad = (message: string): RestError => new RestError(400, `Bad request: ${message}`);
