// `junk-process.ts PORT PER_SECOND`: sends what nobody asked for to a media port until its parent lets go of it, and tells how
// much that was. Trains leave as one system call, so that a small machine can send more than a server takes.
import { randomBytes } from "node:crypto";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { canSendTrains, MmsgOutlet, openUdpSocket } from "../../media-node/webrtc/native/udp-socket.ts";
import { serializeStun, stunAttributes, stunTypes } from "../../media-node/webrtc/transport/stun.ts";
import { newOutletCounters } from "../../media-node/webrtc/transport/packet-outlet.ts";

const port = Number(process.argv[2]);
const perSecond = Number(process.argv[3]);
const train = 32;
const strangers = 16;

const library = loadNativeLibrary();
const counters = newOutletCounters();
const withTrains = canSendTrains(library, library.sockets!);
const senders = Array.from({ length: strangers }, () => {
  const fd = openUdpSocket(library, library.sockets!, "127.0.0.1", 0);
  const outlet = new MmsgOutlet(library, library.sockets!, fd, { isV4: true, withTrains, counters });
  return { outlet, destination: outlet.openDestination("127.0.0.1", port) };
});
const behind = (first: readonly number[], length: number): Uint8Array =>
  Buffer.concat([Buffer.from(first), randomBytes(length)]);
const check = (username: string): Uint8Array =>
  serializeStun(
    stunTypes.bindingRequest,
    randomBytes(12).toString("hex"),
    [
      [stunAttributes.username, Buffer.from(username)],
      [stunAttributes.useCandidate, new Uint8Array()],
    ],
    "a password that no viewer has",
  );
/** Noise; checks without and with integrity; DTLS, RTP and RTCP of nobody. */
const kinds = [
  () => behind([0xff], 99),
  () => behind([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42], 12),
  () => check("nobody:x"),
  () => behind([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 56], 56),
  () => behind([0x80, 0x60], 1_100),
  () => behind([0x80, 0xc9], 60),
];

let turn = 0;
function sendTrain(): void {
  const { outlet, destination } = senders[turn % strangers]!;
  const bytes = kinds[turn++ % kinds.length]!();
  for (let i = 0; i < train; i++) {
    const at = outlet.reserve(bytes.length);
    outlet.slab.bytes.set(bytes, at);
    outlet.commit(at, bytes.length, destination);
  }
  outlet.flush();
}

const startMs = performance.now();
let sent = 0;
const sending = setInterval(() => {
  const due = Math.min(((performance.now() - startMs) / 1_000) * perSecond, sent + perSecond / 100);
  for (; sent < due; sent += train) sendTrain();
}, 1);
process.on("message", () => {
  clearInterval(sending);
  process.send!({ sent: counters.packetsOut, seconds: (performance.now() - startMs) / 1_000 });
  process.disconnect();
});
