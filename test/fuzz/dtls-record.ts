// DTLS as it comes from an address that a viewer has proven: first our record parser, then OpenSSL through FFI. A memory
// fault here would end the process, so this target matters most.
import assert from "node:assert/strict";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { dtlsMtu, OpensslDtls, type DtlsConnection } from "../../media-node/webrtc/native/openssl-dtls.ts";
import { newCertificate } from "../../media-node/webrtc/transport/certificate.ts";
import { DtlsAlerts } from "../../media-node/webrtc/transport/dtls-alerts.ts";
import { packRecords, parseDtlsRecords } from "../../media-node/webrtc/transport/dtls-records.ts";

const library = loadNativeLibrary();
const server = library.ssl && new OpensslDtls(library, library.ssl, "server", newCertificate(Date.now()));
const alerts = new DtlsAlerts({
  master: Buffer.alloc(48, 1),
  clientRandom: Buffer.alloc(32, 2),
  serverRandom: Buffer.alloc(32, 3),
});
/** Inputs in a row for one handshake: enough to fill its buffers, few enough to see many states. */
const inputsPerConnection = 50;
let connection: DtlsConnection | undefined;
let inputs = 0;

export function fuzz(input: Uint8Array): void {
  const records = parseDtlsRecords(input);
  let total = 0;
  for (const record of records) {
    total += record.bytes.length;
    assert.equal(alerts.isEnd(record), false);
  }
  assert.ok(total <= input.length, "only bytes that were there");
  for (const datagram of packRecords(input, dtlsMtu)) total -= datagram.length;
  if (!server) return;
  if (!connection || inputs++ % inputsPerConnection === 0) {
    connection?.free();
    connection = server.open();
  }
  for (const datagram of connection.receive(input)) assert.ok(datagram.length > 0);
  assert.notEqual(connection.status, "connected");
}
