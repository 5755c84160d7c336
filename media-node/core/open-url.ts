import { messageOf } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import type { PullCounters } from "./pull-counters.ts";
import type { StreamDescription } from "./stream.ts";
import type { StreamName } from "./stream-name.ts";
import { NoSuchStream, type OpenSource, type Source } from "./source.ts";

export interface OpenUrlOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  /** By scheme, lower case, without `:`. */
  readonly openers: ReadonlyMap<string, OpenSource>;
  /** As viewers name it, handed to the opener. */
  readonly stream?: StreamName;
  /** What viewers are shown so far, handed to the opener. */
  readonly shown?: () => StreamDescription | undefined;
  /** Nodes for which this stream is pulled, handed to the opener. */
  readonly via?: readonly string[];
  /** The trace id of the request that began the pull, handed to the opener. */
  readonly trace?: string | undefined;
  readonly counters: PullCounters;
  /** Time for one attempt to connect, describe and play; default 6 s. */
  readonly attemptTimeoutMs?: number;
}

export interface OpenedSource {
  readonly source: Source;
  readonly url: string;
  /** Milliseconds from the first packet to the source that can be started. */
  readonly openMs: number;
}

/** Longer than an origin takes that has to pull the stream itself. */
const defaultAttemptTimeoutMs = 6_000;

/**
 * Opens one URL within a deadline; a source that is played by this node already is refused.
 * @throws {NoSuchStream} when the upstream said so; the attempt's error otherwise
 */
export async function openUrl(
  url: string,
  how: { readonly signal: AbortSignal; readonly ignoresSourceClock: boolean; readonly isProbe?: boolean },
  options: OpenUrlOptions,
): Promise<OpenedSource> {
  const { counters, logger } = options;
  const isProbe = how.isProbe ?? false;
  const startMs = options.clock.nowMs();
  try {
    const source = await openInTime(url, how, options);
    if (isProbe) counters.probes.answered++;
    else counters.tries.opened++;
    return { source, url, openMs: options.clock.nowMs() - startMs };
  } catch (thrown) {
    if (isProbe) counters.probes.failed++;
    else if (thrown instanceof NoSuchStream) counters.tries.unknown++;
    else counters.tries.failed++;
    const level = isProbe ? "debug" : "warn";
    logger[level](isProbe ? "the first source is not back" : "pull attempt failed", {
      url: withoutSecrets(url),
      error: messageOf(thrown),
    });
    throw thrown;
  }
}

async function openInTime(
  url: string,
  { signal, ignoresSourceClock, isProbe }: Parameters<typeof openUrl>[1],
  { clock, nodeId, openers, stream, shown, via, trace, attemptTimeoutMs = defaultAttemptTimeoutMs }: OpenUrlOptions,
): Promise<Source> {
  const scheme = url.slice(0, url.indexOf(":")).toLowerCase();
  const open = openers.get(scheme);
  if (!open) throw new NoSuchStream(`no source speaks "${scheme}"`);
  const attempt = new AbortController();
  const deadline = clock.after(attemptTimeoutMs, () => attempt.abort(new Error("timed out")));
  try {
    const source = await open(url, {
      signal: AbortSignal.any([attempt.signal, signal]),
      ignoresSourceClock,
      ...(stream && { stream }),
      ...(shown && { shown }),
      ...(via && { via }),
      ...(trace !== undefined && { trace }),
      ...(isProbe && { isProbe }),
    });
    if (signal.aborted) {
      await source.close({ code: "aborted" });
      throw new Error("aborted");
    }
    if (source.description.path.includes(nodeId)) {
      await source.close({ code: "loop" });
      throw new NoSuchStream("the stream would be pulled in a circle");
    }
    return source;
  } finally {
    deadline.cancel();
  }
}
