import { nameProblem, splitPath } from "#cluster/origin-map/split-path.ts";
import type { ClusterStreamName } from "#cluster/store/contract.ts";
import { isStorableName } from "#cluster/store/keys.ts";
import { nothingHere, type Problem } from "./http-errors.ts";
import type { Vhosts } from "./vhosts.ts";

/** A stream as a request names it. */
export interface RequestedStream {
  readonly name: ClusterStreamName;
  /** The path below the stream: a playlist's name, `whep`, or nothing. */
  readonly file: string;
  /** `/app/stream[/file]` as it goes into the node's URL. */
  readonly path: string;
}

/**
 * Reads `/{app}/{stream}[/{file}]` of a path as the nodes do: anything after the third part is ignored, nothing is
 * percent-decoded, so that a name has one spelling everywhere. Only the URL's own host counts, no `X-Forwarded-Host`.
 * @param path as it was sent
 * @param host without port
 * @param under a prefix that was consumed already, `/-/resolve`
 */
export function parseRequestedStream(
  path: string,
  host: string,
  vhosts: Vhosts,
  under = "",
): RequestedStream | Problem {
  const { app, stream, file } = splitPath(path.slice(under.length));
  if (app === "" || stream === "" || app === "-") return nothingHere;
  const wrong = nameProblem("app", app) ?? nameProblem("stream", stream);
  if (wrong) return { status: 404, code: "bad-name", sentence: `No such stream: ${wrong}.` };
  // A file's name goes into the redirect as well: what a player's URL parser would read as another path is refused alike.
  if ((file !== "" && nameProblem("stream", file)) || [app, stream, file].some((word) => isDots(word)))
    return nothingHere;
  const vhost = vhosts.vhostOf(host);
  if (vhost === undefined)
    return { status: 404, code: "unknown-host", sentence: "No virtual host of this cluster has that host name." };
  const name = { vhost, app, stream };
  if (!isStorableName(name))
    return { status: 404, code: "bad-name", sentence: "No such stream: its name is too long." };
  return { name, file, path: `/${app}/${stream}${file ? `/${file}` : ""}` };
}

/** What a URL parser on the way would take for "here" or "up": `.`, `..`, also with `%2e`. */
const isDots = (word: string): boolean => /^(?:\.|%2e){1,2}$/i.test(word);

/** Whether a domain result is an answer to send, not what was asked for. */
export function isProblem(value: object): value is Problem {
  return "sentence" in value;
}
