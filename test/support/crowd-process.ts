// `crowd-process.ts EDGE COUNT PER_SECOND [TRIES]`: so many viewers click on play; tells its parent how long each waited for a
// picture, since its last click. Who is told to come again, or sees nothing in time, does so up to TRIES times (1 unless given).
import { LoadViewer } from "./load-viewer.ts";
import { ViewerSocket } from "./viewer-socket.ts";

ViewerSocket.takesTrains = true;

const [url, count, perSecond, tries = "1"] = process.argv.slice(2);
/** As `Retry-After` says. */
const comeAgainMs = 2_000;
const crowd = new Set<LoadViewer>();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
setInterval(() => {
  // One time for all: viewers share sockets, and each is looked at once a time.
  const nowMs = performance.now();
  for (const viewer of crowd) viewer.tick(nowMs);
}, 2);

async function join(triesLeft: number): Promise<LoadViewer> {
  let opened: LoadViewer | undefined;
  try {
    const options = { checkEvery: 1000, isGenuine: () => true };
    return await LoadViewer.join(url!, options, (viewer) => crowd.add((opened = viewer)));
  } catch (thrown) {
    if (triesLeft <= 1) throw thrown;
    if (opened) crowd.delete(opened);
    opened?.close();
    await sleep(comeAgainMs);
    return join(triesLeft - 1);
  }
}

const joining = Array.from({ length: Number(count) }, async (_, i) => {
  await sleep((i * 1000) / Number(perSecond));
  return join(Number(tries));
});
const joined = await Promise.allSettled(joining);
process.send!(joined.map((result) => (result.status === "fulfilled" ? result.value.firstPictureMs : -1)));
process.on("disconnect", () => process.exit(0));
