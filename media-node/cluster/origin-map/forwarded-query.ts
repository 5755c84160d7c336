/** Longer queries are cut at a parameter's border: nothing a source needs is longer. */
export const maxForwardedQueryBytes = 2_048;

/** Ours, not the origin's: tickets, trace ids, sessions, signatures. Everything that begins with `_HLS_` besides. */
const ownKeys: ReadonlySet<string> = new Set(["rt", "rtid", "session", "policy", "signature"]);

/**
 * The part of a viewer's query that an origin may see. Parameters keep their order and their escapes; our own keys are
 * left out; whatever could be read as a host, a path or a second query is escaped, so that even a reader that takes
 * URLs apart with one greedy expression finds the rule's authority.
 */
export function forwardedQuery(rawQuery: string, alsoOwnKeys: readonly string[]): string {
  const own = new Set([...ownKeys, ...alsoOwnKeys.map((key) => key.toLowerCase())]);
  let query = "";
  for (const parameter of rawQuery.slice(0, 4 * maxForwardedQueryBytes).split("&")) {
    if (parameter === "" || isOwn(keyOf(parameter), own)) continue;
    const escaped = escapeParameter(parameter);
    if (query.length + escaped.length + 1 > maxForwardedQueryBytes) break;
    query += query === "" ? escaped : `&${escaped}`;
  }
  return query;
}

function isOwn(key: string, own: ReadonlySet<string>): boolean {
  return own.has(key) || key.startsWith("_hls_");
}

/** In lower case, with escapes undone twice, as OvenMediaEngine does: `%2573ession` is `session` to it. */
function keyOf(parameter: string): string {
  return decode(decode(parameter.split("=", 1)[0]!))
    .trim()
    .toLowerCase();
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const unescaped = /%(?![\da-fA-F]{2})|[^A-Za-z0-9\-._~!$'()*+,;=%]/gu;

function escapeParameter(parameter: string): string {
  return parameter.toWellFormed().replace(unescaped, (letter) => encodeURIComponent(letter));
}
