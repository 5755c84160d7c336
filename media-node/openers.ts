import { readFile } from "node:fs/promises";
import { withAgreedCourse } from "./agreed-course.ts";
import { withAgreedEpoch } from "./agreed-epoch.ts";
import type { CourseStore, EpochStore } from "./cluster/store/contract.ts";
import { subtitlesOf, withDeclaredSubtitles } from "./declared-subtitles.ts";
import type { OpenSource } from "./core/source.ts";
import { dialTcp, dialTls } from "./dial.ts";
import type { NodeContext } from "./node-context.ts";
import { openOvtSource } from "./ovt/ovt-source.ts";
import { recentMsOf } from "./recent-media.ts";

/** What can be pulled, by scheme. A new way in is one line here. */
export function openersOf(
  { live, clock, logger, id, secret, group }: NodeContext,
  storeOf: (vhost: string) => (EpochStore & CourseStore) | undefined,
): ReadonlyMap<string, OpenSource> {
  const link = {
    dial: dialTcp,
    clock,
    logger,
    nodeId: id,
    get recentMs() {
      return recentMsOf(live.now);
    },
    ...(secret !== undefined && { secret }),
  };
  const openByEpoch = withAgreedEpoch(openOvtSource(link), { storeOf, clock, logger });
  const openOvt = withAgreedCourse(openByEpoch, { storeOf, clock });
  const openRtsp = onFirstUse(async () => {
    const { openRtspSource } = await import("./rtsp/rtsp-source.ts");
    return openRtspSource({ dial: dialTcp, dialTls, clock, logger });
  });
  const openFile = onFirstUse(async () => {
    const { openLoopSource } = await import("./file/loop-source.ts");
    return openLoopSource({ clock, readFile: async (path) => new Uint8Array(await readFile(path)) });
  });
  const later: readonly (readonly [RegExp, ReadLater])[] = [
    [/^rtsps?$/i, openRtsp],
    [/^file$/i, openFile],
  ];
  const readRuled = (): void => {
    const schemes = live.now.vhosts.flatMap(({ origins }) => origins.rules.map(({ scheme }) => scheme));
    for (const [pattern, { read }] of later) if (schemes.some((scheme) => pattern.test(scheme))) read();
  };
  const timer = clock.after(readAfterMs, readRuled);
  group.add(() => timer.cancel());
  group.add(live.addListener(readRuled));
  // What is pulled by OVT has the subtitles of the node it begins at.
  const begin = (open: OpenSource): OpenSource => withDeclaredSubtitles(open, (name) => subtitlesOf(live.now, name));
  return new Map<string, OpenSource>([
    ["ovt", openOvt],
    ["ovts", openOvt],
    ["rtsp", begin(openRtsp.open)],
    ["rtsps", begin(openRtsp.open)],
    ["file", begin(openFile.open)],
  ]);
}

/**
 * The doors are open by then. To read what pulls cameras holds the thread for 10 to 30 ms: where rules name them that is not
 * left until the first pull, when others watch.
 */
const readAfterMs = 500;

interface ReadLater {
  readonly open: OpenSource;
  readonly read: () => void;
}

/** An edge, which pulls by OVT, has its doors open sooner without what reads cameras and files, and may never need it. */
function onFirstUse(load: () => Promise<OpenSource>): ReadLater {
  let opener: Promise<OpenSource> | undefined;
  return {
    open: async (url, options) => (await (opener ??= load()))(url, options),
    // Who pulls is told of a failure.
    read: () => void (opener ??= load()).catch(() => {}),
  };
}
