import { once } from "node:events";
import { connect } from "node:net";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Source } from "../../media-node/core/source.ts";
import type { StreamDescription } from "../../media-node/core/stream.ts";
import type { CloseReason } from "../../media-node/flow/close-group.ts";
import type { DialRtsp } from "../../media-node/rtsp/rtsp-source.ts";

/** What a source delivered. */
export interface Collected {
  readonly samples: Sample[];
  readonly descriptions: StreamDescription[];
  /** Resolves when the source ended by itself. */
  readonly ended: Promise<CloseReason>;
  /** Resolves when `isEnough` holds after a sample; rejects when the source ends, or after `deadlineMs`. */
  readonly until: (isEnough: (samples: readonly Sample[]) => boolean, deadlineMs?: number) => Promise<void>;
}

/** Starts `source` and keeps everything it delivers. */
export function collectSource(source: Source): Collected {
  const samples: Sample[] = [];
  const descriptions: StreamDescription[] = [source.description];
  const end = Promise.withResolvers<CloseReason>();
  let look = (): void => {};
  source.start({
    onSample(sample) {
      samples.push(sample);
      look();
    },
    onDescription: (description) => void descriptions.push(description),
    onEnd: (reason) => end.resolve(reason),
  });
  return {
    samples,
    descriptions,
    ended: end.promise,
    until: async (isEnough, deadlineMs = 10_000) => {
      const enough = Promise.withResolvers<void>();
      const deadline = setTimeout(() => enough.reject(new Error(`only ${samples.length} samples came`)), deadlineMs);
      look = () => {
        if (isEnough(samples)) enough.resolve();
      };
      look();
      const failed = end.promise.then(({ code, message }) => Promise.reject(new Error(`${code}: ${message}`)));
      await Promise.race([enough.promise, failed]).finally(() => clearTimeout(deadline));
      failed.catch(() => {});
    },
  };
}

/** A plain connection, as the node's front door hands it in. */
export const dialLoopback: DialRtsp = async (host, port, signal) => {
  const socket = connect({ host, port });
  await once(socket, "connect", { signal });
  return socket;
};
