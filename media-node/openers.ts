import { readFile } from "node:fs/promises";
import { withAgreedEpoch } from "./agreed-epoch.ts";
import type { EpochStore } from "./cluster/store/contract.ts";
import type { OpenSource } from "./core/source.ts";
import { dialTcp, dialTls } from "./dial.ts";
import { openLoopSource } from "./file/loop-source.ts";
import type { NodeContext } from "./node-context.ts";
import { openOvtSource } from "./ovt/ovt-source.ts";
import { recentMsOf } from "./recent-media.ts";
import { openRtspSource } from "./rtsp/rtsp-source.ts";

/** What can be pulled, by scheme. A new way in is one line here. */
export function openersOf(
  { config, clock, logger, id, secret }: NodeContext,
  storeOf: (vhost: string) => EpochStore | undefined,
): ReadonlyMap<string, OpenSource> {
  const recentMs = recentMsOf(config);
  const link = { dial: dialTcp, clock, logger, nodeId: id, recentMs, ...(secret !== undefined && { secret }) };
  const openOvt = withAgreedEpoch(openOvtSource(link), { storeOf, clock, logger });
  const openRtsp = openRtspSource({ dial: dialTcp, dialTls, clock, logger });
  return new Map([
    ["ovt", openOvt],
    ["ovts", openOvt],
    ["rtsp", openRtsp],
    ["rtsps", openRtsp],
    ["file", openLoopSource({ clock, readFile: async (path) => new Uint8Array(await readFile(path)) })],
  ]);
}
