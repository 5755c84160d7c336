// `wrtc-player.ts ENDPOINT PICTURES`: plays a WHEP endpoint with @roamhq/wrtc until so many pictures are decoded, says how
// many pictures and blocks of sound there were, and ends its session. A process of its own, since wrtc's threads do not end.
import wrtc from "@roamhq/wrtc";
import { until } from "./until.ts";

const [endpoint, wanted] = process.argv.slice(2);
const peer = new wrtc.RTCPeerConnection();
let pictures = 0;
let sounds = 0;
/** Before the first picture. */
let soundsBefore: number | undefined;
peer.ontrack = ({ track }: { readonly track: InstanceType<typeof wrtc.MediaStreamTrack> }) => {
  if (track.kind === "video") {
    new wrtc.nonstandard.RTCVideoSink(track).onframe = () => {
      soundsBefore ??= sounds;
      pictures++;
    };
  } else new wrtc.nonstandard.RTCAudioSink(track).ondata = () => sounds++;
};
for (const kind of ["video", "audio"]) peer.addTransceiver(kind, { direction: "recvonly" });
await peer.setLocalDescription(await peer.createOffer());
const headers = { "Content-Type": "application/sdp" };
const answer = await fetch(endpoint!, { method: "POST", headers, body: peer.localDescription!.sdp });
if (answer.status !== 201) throw new Error(`${endpoint} answered ${answer.status}: ${await answer.text()}`);
const startedMs = performance.now();
await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
await until(`${wanted} pictures are decoded`, 25_000, () => pictures >= Number(wanted));
const deleted = await fetch(new URL(answer.headers.get("Location")!, endpoint), { method: "DELETE" });
const soundsMeanwhile = sounds - soundsBefore!;
console.log(
  JSON.stringify({ pictures, sounds, soundsMeanwhile, ms: performance.now() - startedMs, deleted: deleted.status }),
);
process.kill(process.pid, "SIGKILL");
