import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseChallenge, RtspAuthorizer } from "./rtsp-authentication.ts";

// RFC 7616 §3.9.1
const credentials = { user: "Mufasa", password: "Circle of Life" };
const clientNonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
const digest = (algorithm: string): string =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ` +
  'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"';

const responses = [
  ["MD5", "8ca523f5e9506fed4657c9700eebdbec"],
  ["SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"],
] as const;
for (const [algorithm, response] of responses) {
  test(`answers the ${algorithm} example of RFC 7616`, () => {
    const challenge = chooseChallenge([digest(algorithm)])!;
    const header = new RtspAuthorizer(challenge, credentials, clientNonce).authorize("GET", "/dir/index.html");
    assert.ok(header.includes(`response="${response}"`), header);
    for (const field of ["nc=00000001", "qop=auth,", `cnonce="${clientNonce}"`, `algorithm=${algorithm}`]) {
      assert.ok(header.includes(field), `${field} in ${header}`);
    }
  });
}

test("of several challenges the strongest is answered, in one header or in many", () => {
  const all = ['Basic realm="x"', digest("MD5"), digest("SHA-256")];
  for (const values of [all, all.toReversed(), [all.join(", ")]]) {
    const challenge = chooseChallenge(values);
    assert.ok(challenge?.scheme === "digest" && challenge.algorithm.hash === "sha256");
  }
  assert.equal(chooseChallenge(['Basic realm="x"', digest("SHA-512-256")])?.scheme, "basic");
  assert.equal(chooseChallenge(["Negotiate", 'Digest realm="x", nonce="n", qop="auth-int"']), undefined);
});

test("one nonce serves many requests, each with its number", () => {
  const authorizer = new RtspAuthorizer(chooseChallenge([digest("MD5")])!, credentials, clientNonce);
  const headers = ["DESCRIBE", "SETUP", "PLAY"].map((method) => authorizer.authorize(method, "rtsp://c/"));
  assert.deepEqual(
    headers.map((header) => /nc=(\d+)/.exec(header)?.[1]),
    ["00000001", "00000002", "00000003"],
  );
  assert.equal(new Set(headers.map((header) => /response="(\w+)"/.exec(header)?.[1])).size, 3);
});
