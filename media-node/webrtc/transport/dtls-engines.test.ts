// Both DTLS servers in memory, against OpenSSL's client and against werift's with somebody else's certificate.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { DtlsClient, HashAlgorithm, SignatureAlgorithm } from "werift";
import { loadNativeLibrary } from "../native/library.ts";
import { OpensslDtls } from "../native/openssl-dtls.ts";
import { newCertificate, type NodeCertificate } from "./certificate.ts";
import type { DtlsEngine, DtlsSession } from "./dtls-engine.ts";
import { dtlsHandshake, parseDtlsRecords } from "./dtls-records.ts";
import { opensslEngine } from "./openssl-engine.ts";
import { masterKeysOfServer, srtpProfiles, type SrtpMasterKeys } from "./srtp-keys.ts";
import { weriftEngine } from "./werift-engine.ts";

const library = loadNativeLibrary();
const here = newCertificate(Date.now());
const theirs = newCertificate(Date.now());
const engines: readonly DtlsEngine[] = [opensslEngine(library, here), weriftEngine(here, srtpProfiles.aes128Gcm)];

interface Watched {
  readonly session: DtlsSession;
  readonly out: Uint8Array[];
  readonly keys: SrtpMasterKeys[];
  readonly ends: string[];
}

function open(engine: DtlsEngine, certificate: NodeCertificate): Watched {
  const [out, keys, ends]: [Uint8Array[], SrtpMasterKeys[], string[]] = [[], [], []];
  const session = engine.open(
    {
      send: (datagram) => void out.push(datagram),
      connected: (made) => void keys.push(made),
      ended: (reason) => void ends.push(reason),
    },
    [certificate.fingerprint],
  );
  return { session, out, keys, ends };
}

/** Runs OpenSSL's client against `server`, each of its datagrams changed by `change`, until nothing more happens. */
async function shakeHands(
  server: Watched,
  options: { readonly change?: (datagram: Uint8Array) => Uint8Array; readonly profiles?: string } = {},
) {
  const client = new OpensslDtls(library, library.ssl!, "client", theirs, options.profiles);
  const connection = client.open();
  let flight = connection.start();
  for (let idle = 0; idle < 10 && (server.keys.length === 0 || connection.status === "handshake"); idle++) {
    for (const datagram of flight) server.session.receive(options.change?.(datagram) ?? datagram, 0);
    // werift answers in later turns.
    for (let turns = 0; turns < 20; turns++) await turn();
    flight = server.out.splice(0).flatMap((datagram) => connection.receive(datagram));
  }
  const exported = connection.exportSrtp();
  const { status } = connection;
  connection.free();
  client.close();
  return { exported, status };
}

for (const engine of engines) {
  test(`${engine.name}: both ends have the same keys, for each profile`, async () => {
    for (const [profiles, profile] of [
      [undefined, srtpProfiles.aes128Gcm],
      ["SRTP_AES128_CM_SHA1_80", srtpProfiles.aes128CmSha1],
    ] as const) {
      const server = open(engine, theirs);
      const { exported } = await shakeHands(server, profiles ? { profiles } : {});
      assert.ok(exported);
      assert.equal(exported.profile, profile);
      const expected = masterKeysOfServer(exported.profile, exported.material);
      const [made] = server.keys;
      assert.ok(made);
      for (const direction of ["local", "remote"] as const) {
        assert.deepEqual(Buffer.from(made[direction].key), Buffer.from(expected[direction].key));
        assert.deepEqual(Buffer.from(made[direction].salt), Buffer.from(expected[direction].salt));
      }
      server.session.close();
    }
  });

  test(`${engine.name}: a CertificateVerify, Certificate or Finished changed on the way gives no keys`, async () => {
    const plain = [dtlsHandshake.certificateVerify, dtlsHandshake.certificate, dtlsHandshake.clientKeyExchange];
    for (const target of [...plain, "encrypted"] as const) {
      const server = open(engine, theirs);
      await shakeHands(server, { change: (datagram) => flipLastBit(datagram, target) });
      assert.deepEqual(server.keys, [], String(target));
      server.session.close();
    }
  });

  test(`${engine.name}: somebody else's certificate without its key gives no keys`, async () => {
    const server = open(engine, theirs);
    const stolen = { certificate: theirs, key: newCertificate(Date.now()) };
    await shakeWithWerift(server, stolen.certificate, stolen.key);
    assert.deepEqual(server.keys, []);
    // OpenSSL waits for a better handshake until the deadline.
    assert.deepEqual(server.ends, engine.name === "werift" ? ["dtls-failed"] : []);
    server.session.close();
    const honest = open(engine, theirs);
    await shakeWithWerift(honest, theirs, theirs);
    assert.equal(honest.keys.length, 1, "the same client with its own key connects");
    honest.session.close();
  });
}

/** A record of a handshake message's fragment (RFC 6347 §4.2.2), or of what cannot be read yet. */
function fragment(options: {
  readonly sequence: number;
  readonly message: number;
  readonly announced: number;
  readonly offset: number;
  readonly type?: number;
  readonly epoch?: number;
}): Uint8Array {
  const { sequence, message, announced, offset, type = dtlsHandshake.certificate, epoch = 0 } = options;
  const body = Buffer.alloc(1_000, 7);
  body[0] = type;
  body.writeUIntBE(announced, 1, 3);
  body.writeUInt16BE(message, 4);
  body.writeUIntBE(offset, 6, 3);
  body.writeUIntBE(body.length - 12, 9, 3);
  const head = Buffer.from("16fefd0000000000000000", "hex");
  head.writeUInt16BE(epoch, 3);
  head.writeUIntBE(sequence, 5, 6);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  return Buffer.concat([head, length, body]);
}

for (const engine of engines) {
  test(`${engine.name}: fragments without end, of messages without end, are kept within bounds`, async () => {
    const kinds = [
      // The beginning of one message after the other, each to be large; one of 16 MB; the same one over and over; and what
      // belongs behind the handshake.
      (i: number) => fragment({ sequence: i, message: 1 + (i % 4_000), announced: 16_000, offset: 0 }),
      (i: number) => fragment({ sequence: i, message: 1, announced: 16_000_000, offset: (i * 988) % 15_000_000 }),
      (i: number) => fragment({ sequence: i, message: 1, announced: 16_000, offset: (i * 7) % 15_000 }),
      (i: number) => fragment({ sequence: i, message: 1, announced: 16_000, offset: 0, epoch: 1 }),
    ];
    const client = new OpensslDtls(library, library.ssl!, "client", theirs);
    const sessions: Watched[] = [];
    const before = process.memoryUsage.rss();
    let sent = 0;
    for (const make of kinds) {
      for (let viewer = 0; viewer < 10; viewer++) {
        const server = open(engine, theirs);
        sessions.push(server);
        const connection = client.open();
        for (const datagram of connection.start()) server.session.receive(datagram, 0);
        connection.free();
        for (let i = 1; i <= 5_000; i++) {
          const datagram = make(i);
          sent += datagram.length;
          server.session.receive(datagram, 0);
        }
        server.out.length = 0;
        await turn();
      }
    }
    const grown = process.memoryUsage.rss() - before;
    assert.ok(sent > 200e6 && grown < 64e6, `${grown} bytes kept of ${sent}`);
    for (const { session, keys } of sessions) {
      assert.deepEqual(keys, []);
      session.close();
    }
    client.close();
    const honest = open(engine, theirs);
    const { status } = await shakeHands(honest);
    assert.deepEqual([status, honest.keys.length], ["connected", 1]);
    honest.session.close();
  });
}

function flipLastBit(datagram: Uint8Array, target: number | "encrypted"): Uint8Array {
  const changed = Uint8Array.from(datagram);
  for (const { bytes, handshakeType, epoch } of parseDtlsRecords(changed)) {
    if (target === "encrypted" ? epoch > 0 : handshakeType === target) bytes[bytes.length - 1]! ^= 1;
  }
  return changed;
}

const ignoreData = (_bytes: Buffer): void => {};

async function shakeWithWerift(server: Watched, certificate: NodeCertificate, key: NodeCertificate): Promise<void> {
  const transport = {
    type: "memory",
    address: { address: "", family: "", port: 0 },
    closed: false,
    onData: ignoreData,
    send: async (bytes: Buffer): Promise<void> => server.session.receive(bytes, 0),
    close: async (): Promise<void> => {},
  };
  const client = new DtlsClient({
    transport,
    srtpProfiles: [srtpProfiles.aes128Gcm],
    cert: new X509Certificate(certificate.der).toString(),
    key: key.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    signatureHash: { hash: HashAlgorithm.sha256_4, signature: SignatureAlgorithm.ecdsa_3 },
    extendedMasterSecret: true,
  });
  client.connect().catch(() => {});
  for (let idle = 0; idle < 30 && server.keys.length === 0 && server.ends.length === 0; idle++) {
    for (let turns = 0; turns < 20; turns++) await turn();
    for (const datagram of server.out.splice(0)) {
      for (const { bytes } of parseDtlsRecords(datagram)) transport.onData(Buffer.from(bytes));
    }
  }
  // Ends its retransmission.
  client.dtls.flight = 100;
}
