/** An answer that is not what was asked for: a status, a stable code, and a sentence that says what to do about it. */
export interface Problem {
  readonly status: 400 | 401 | 403 | 404 | 405 | 413 | 426 | 500 | 502 | 503 | 508;
  readonly code: string;
  readonly sentence: string;
  readonly retryAfterS?: number;
  readonly allow?: string;
}

/** `{"error": sentence, "code": code}`. */
export function problemResponse(problem: Problem): Response {
  const headers = new Headers({ "Content-Type": "application/json; charset=utf-8" });
  if (problem.retryAfterS !== undefined) headers.set("Retry-After", String(problem.retryAfterS));
  if (problem.allow !== undefined) headers.set("Allow", problem.allow);
  if (problem.status === 401) headers.set("WWW-Authenticate", "Bearer");
  const body = JSON.stringify({ error: problem.sentence, code: problem.code });
  return new Response(`${body}\n`, { status: problem.status, headers });
}

export const nothingHere: Problem = {
  status: 404,
  code: "nothing-here",
  sentence:
    "Nothing is here. Streams are at /{app}/{stream}/llhls.m3u8 (LL-HLS), /{app}/{stream}/whep (WHEP) and /{app}/{stream} (WebSocket signalling).",
};

/** The runtime hands over whatever the Host header said. */
export const badHost: Problem = {
  status: 400,
  code: "bad-host",
  sentence: "The request names no host that could exist.",
};

export function notAllowed(allow: string): Problem {
  return { status: 405, code: "method-not-allowed", sentence: `Only ${allow} is answered here.`, allow };
}

/** A bug of ours: the request ends, the isolate goes on, and nothing of the inside is told. */
export const ourFault: Problem = {
  status: 500,
  code: "router-fault",
  sentence: "The router made a mistake with this request; it is logged there.",
};
