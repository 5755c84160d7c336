// `crowd-process.ts EDGE COUNT PER_SECOND`: so many viewers click on play; tells its parent how long each waited for a picture.
import { LoadViewer } from "./load-viewer.ts";
import { ViewerSocket } from "./viewer-socket.ts";

ViewerSocket.takesTrains = true;

const [url, count, perSecond] = process.argv.slice(2);
const crowd = new Set<LoadViewer>();
setInterval(() => {
  for (const viewer of crowd) viewer.tick(performance.now());
}, 2);
const joining = Array.from({ length: Number(count) }, async (_, i) => {
  await new Promise((resolve) => setTimeout(resolve, (i * 1000) / Number(perSecond)));
  const options = { checkEvery: 1000, isGenuine: () => true };
  return LoadViewer.join(url!, options, (viewer) => crowd.add(viewer));
});
const joined = await Promise.allSettled(joining);
process.send!(joined.map((result) => (result.status === "fulfilled" ? result.value.firstPictureMs : -1)));
process.on("disconnect", () => process.exit(0));
