// What does one viewer's DTLS handshake cost a node? CPU time of the server's side alone, from the first ClientHello to exported
// SRTP keys, by the OpenSSL inside the process. Both sides are in memory; each
// call of the server is timed by itself. Wanted: at most 1 ms.
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { OpensslDtls, type DtlsConnection } from "../../media-node/webrtc/native/openssl-dtls.ts";
import { newCertificate } from "../../media-node/webrtc/transport/certificate.ts";

const handshakes = Number(process.argv[2] ?? 1000);
const library = loadNativeLibrary();
assert.ok(library.ssl, `this benchmark needs FFI: ${library.missing.join(", ")}`);
const server = new OpensslDtls(library, library.ssl, "server", newCertificate(Date.now()));
const client = new OpensslDtls(library, library.ssl, "client", newCertificate(Date.now()));
let serverUs = 0;
let clientUs = 0;

function timed<T>(run: () => T, isServer: boolean): T {
  const before = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(before);
  if (isServer) serverUs += user + system;
  else clientUs += user + system;
  return result;
}

function exchange(from: DtlsConnection, datagrams: readonly Uint8Array[], isServer: boolean): Uint8Array[] {
  return timed(() => datagrams.flatMap((datagram) => from.receive(datagram)), isServer);
}

function shakeHands(): void {
  const near = timed(() => server.open(), true);
  const far = timed(() => client.open(), false);
  let flight = timed(() => far.start(), false);
  while (flight.length > 0) flight = exchange(far, exchange(near, flight, true), false);
  assert.deepEqual([near.status, far.status], ["connected", "connected"]);
  const keys = timed(() => near.exportSrtp()!, true);
  assert.deepEqual(keys, far.exportSrtp());
  timed(() => near.free(), true);
  far.free();
}

for (let i = 0; i < 100; i++) shakeHands();
serverUs = clientUs = 0;
for (let i = 0; i < handshakes; i++) shakeHands();
console.log(
  `webrtc-handshake: ${(serverUs / handshakes / 1000).toFixed(2)} CPU ms for the server, ${(clientUs / handshakes / 1000).toFixed(2)} for the client, ` +
    `${(serverUs / clientUs).toFixed(2)} times; ${handshakes} handshakes, load ${loadavg()[0]!.toFixed(1)}`,
);
server.close();
client.close();
