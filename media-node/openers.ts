import { readFile } from "node:fs/promises";
import { withAgreedEpoch } from "./agreed-epoch.ts";
import type { EpochStore } from "./cluster/store/contract.ts";
import type { OpenSource } from "./core/source.ts";
import { dialTcp, dialTls } from "./dial.ts";
import type { NodeContext } from "./node-context.ts";
import { openOvtSource } from "./ovt/ovt-source.ts";
import { recentMsOf } from "./recent-media.ts";

/** What can be pulled, by scheme. A new way in is one line here. */
export function openersOf(
  { config, clock, logger, id, secret }: NodeContext,
  storeOf: (vhost: string) => EpochStore | undefined,
): ReadonlyMap<string, OpenSource> {
  const recentMs = recentMsOf(config);
  const link = { dial: dialTcp, clock, logger, nodeId: id, recentMs, ...(secret !== undefined && { secret }) };
  const openOvt = withAgreedEpoch(openOvtSource(link), { storeOf, clock, logger });
  const openRtsp = onFirstUse(async () => {
    const { openRtspSource } = await import("./rtsp/rtsp-source.ts");
    return openRtspSource({ dial: dialTcp, dialTls, clock, logger });
  });
  const openFile = onFirstUse(async () => {
    const { openLoopSource } = await import("./file/loop-source.ts");
    return openLoopSource({ clock, readFile: async (path) => new Uint8Array(await readFile(path)) });
  });
  return new Map([
    ["ovt", openOvt],
    ["ovts", openOvt],
    ["rtsp", openRtsp],
    ["rtsps", openRtsp],
    ["file", openFile],
  ]);
}

/** An edge, which pulls by OVT, has its doors open sooner without what reads cameras and files. */
function onFirstUse(load: () => Promise<OpenSource>): OpenSource {
  let opener: Promise<OpenSource> | undefined;
  return async (url, options) => (await (opener ??= load()))(url, options);
}
