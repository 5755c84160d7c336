// A short run of each fuzz target: random bytes, and valid messages with bytes changed.
import { test } from "node:test";
import { fuzz as fuzzDtls } from "../../../test/fuzz/dtls-record.ts";
import { fuzz as fuzzRtcp } from "../../../test/fuzz/rtcp-in.ts";
import { fuzz as fuzzStun } from "../../../test/fuzz/stun.ts";
import { loadNativeLibrary } from "../native/library.ts";
import { OpensslDtls } from "../native/openssl-dtls.ts";
import { newCertificate } from "./certificate.ts";
import { serializeStun, stunAttributes } from "./stun.ts";

const inputs = 20_000;

/** Park–Miller: a failing run repeats. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

function hello(): Uint8Array {
  const library = loadNativeLibrary();
  if (!library.ssl) return Buffer.from("16feff", "hex");
  const client = new OpensslDtls(library, library.ssl, "client", newCertificate(0));
  const connection = client.open();
  const flight = Buffer.concat(connection.start());
  connection.free();
  client.close();
  return flight;
}

for (const [name, fuzz, valid] of [
  ["stun", fuzzStun, serializeStun(1, "00".repeat(12), [[stunAttributes.username, Buffer.from("a:b")]], "secret")],
  ["dtls-record", fuzzDtls, hello()],
  ["rtcp-in", fuzzRtcp, Buffer.from(`80c90001${"ab".repeat(60)}80000001`, "hex")],
] as const) {
  test(`${name}: no input is believed, none is fatal`, () => {
    const next = random(1);
    for (let length = 0; length <= valid.length; length++) fuzz(valid.subarray(0, length));
    for (let i = 0; i < inputs; i++) {
      const bytes = Uint8Array.from(valid);
      const changes = 1 + Math.floor(next() * 4);
      for (let j = 0; j < changes; j++) bytes[Math.floor(next() * bytes.length)] = Math.floor(next() * 256);
      fuzz(next() < 0.2 ? bytes.subarray(0, Math.floor(next() * bytes.length)) : bytes);
      if (i % 10 === 0) fuzz(bytes.map(() => Math.floor(next() * 256)));
    }
  });
}
