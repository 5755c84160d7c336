import type { ClusterStreamName } from "#cluster/store/contract.ts";
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

/** Longest app, stream or file name; the store takes half a kilobyte. */
const maxWordLength = 256;

/**
 * Reads `/{app}/{stream}[/{file}]` of a URL; anything after the third part is ignored, nothing is percent-decoded, so that
 * a name has one spelling everywhere. Only the URL's own host counts, no `X-Forwarded-Host`.
 * @param under a prefix that was consumed already, `/-/resolve`
 */
export function parseRequestedStream(url: string, vhosts: Vhosts, under = ""): RequestedStream | Problem {
  const [, app = "", stream = "", file = ""] = rawPath(url).slice(under.length).split("/");
  if (app === "" || stream === "" || app === "-") return nothingHere;
  if ([app, stream, file].some((word) => isDots(word))) return nothingHere;
  if ([app, stream, file].some((word) => word.length > maxWordLength))
    return {
      status: 404,
      code: "name-too-long",
      sentence: `A name in the path is longer than ${maxWordLength} characters.`,
    };
  const vhost = vhosts.vhostOf(new URL(url).hostname);
  if (vhost === undefined)
    return { status: 404, code: "unknown-host", sentence: "No virtual host of this cluster has that host name." };
  return { name: { vhost, app, stream }, file, path: `/${app}/${stream}${file ? `/${file}` : ""}` };
}

/** The path of an absolute URL as it was sent: nothing decoded, no dots resolved. */
export function rawPath(url: string): string {
  return /^[^:]+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] || "/";
}

/** What a URL parser on the way would take for "here" or "up": `.`, `..`, also with `%2e`. */
const isDots = (word: string): boolean => /^(?:\.|%2e){1,2}$/i.test(word);

/** Whether a domain result is an answer to send, not what was asked for. */
export function isProblem(value: object): value is Problem {
  return "sentence" in value;
}
