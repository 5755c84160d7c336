// `offers-process.ts ENDPOINT COUNT SECONDS`: so many players of WHEP come within so many seconds, each with a browser's offer on
// a connection of its own. Who is taken makes the server begin a handshake, which is the dear part of it; one in twenty ends it,
// the others stay away. Tells its parent how many were answered in which way.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import type { IceCandidate, PeerTransport } from "../../media-node/webrtc/media-port.ts";
import { TransportViewer, viewerCertificate } from "./transport-viewer.ts";

const endpoint = new URL(process.argv[2]!);
const count = Number(process.argv[3]);
const seconds = Number(process.argv[4]);
const patienceMs = 12_000;
const endsEvery = 20;
/** One ClientHello does for all who never end what they began. */
let hello: readonly Uint8Array[] | undefined;
let taken = 0;

const recorded = readFileSync(new URL("../fixtures/sdp/chromium-offer.sdp", import.meta.url), "utf8");
const offer = recorded
  .replaceAll(/a=fingerprint:.*/g, `a=fingerprint:${viewerCertificate.fingerprint}`)
  .replaceAll(/a=ice-ufrag:.*/g, "a=ice-ufrag:peer")
  .replaceAll(/a=ice-pwd:.*/g, "a=ice-pwd:the+password+of+the+viewer");

function ask(method: string, path: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host: endpoint.hostname, port: Number(endpoint.port), noDelay: true });
  socket.setTimeout(patienceMs, () => socket.destroy(new Error("no answer in time")));
  socket.on("error", reject);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  socket.on("end", () => resolve(answer));
  socket.write(
    `${method} ${path} HTTP/1.1\r\nHost: ${endpoint.host}\r\nConnection: close\r\n` +
      `Content-Type: application/sdp\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  return promise;
}

async function visit(): Promise<string> {
  const answer = await ask("POST", endpoint.pathname, offer);
  const status = answer.slice(9, 12);
  if (status !== "201") return /^retry-after:/im.test(answer) ? `${status}, told when to come again` : status;
  const one = (pattern: RegExp): string[] => pattern.exec(answer)!.slice(1);
  const [iceUfrag, icePwd] = [...one(/^a=ice-ufrag:(\S+)/m), ...one(/^a=ice-pwd:(\S+)/m)];
  const [address, port] = one(/^a=candidate:\S+ 1 udp \d+ (\S+) (\d+)/im);
  const peer = { iceUfrag, icePwd, state: "connected" } as PeerTransport;
  const place = { address, port: Number(port), protocol: "udp" } as IceCandidate;
  const viewer = await TransportViewer.open(peer, place);
  try {
    if (!hello || taken++ % endsEvery === 0) {
      await viewer.connect(patienceMs);
      viewer.shutdown();
      hello ??= viewer.hello;
      return "201, connected";
    }
    viewer.check();
    await viewer.until(() => viewer.received.length > 0, patienceMs);
    for (const datagram of hello) viewer.send(datagram);
    await viewer.until(() => viewer.received.some((bytes) => bytes[0] === 22), patienceMs);
    return "201, handshake begun";
  } finally {
    viewer.close();
  }
}

const startMs = performance.now();
const visits: Promise<string>[] = [];
while (visits.length < count) {
  const due = ((performance.now() - startMs) / 1_000) * (count / seconds);
  while (visits.length < Math.min(due, count)) visits.push(visit().catch((thrown: Error) => thrown.message));
  await new Promise((resolve) => setTimeout(resolve, 2));
}
const sentSeconds = (performance.now() - startMs) / 1_000;
const outcomes: Record<string, number> = {};
for (const outcome of await Promise.all(visits)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
process.send!({ outcomes, seconds: sentSeconds });
process.disconnect();
