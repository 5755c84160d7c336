import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { isSignedUrl, urlToSign, verifySignedPolicy, type PolicyRequest } from "./signed-policy.ts";

interface SignedVector {
  readonly key: string;
  readonly urlToSign: string;
  readonly signature: string;
}
const { signedPolicy: vectors }: { readonly signedPolicy: readonly SignedVector[] } = JSON.parse(
  readFileSync(new URL("../../../test/fixtures/config/vectors.json", import.meta.url), "utf8"),
);

const settings = { policyKey: "policy", signatureKey: "signature", secretKey: "aKq#1kj" };
const nowMs = 1_800_000_000_000;
const plain: PolicyRequest = {
  scheme: "ws",
  host: "edge.example.com",
  localPort: 3333,
  path: "/app/stream",
  rawQuery: "",
  remoteAddress: "192.0.2.7",
};

/** The request with a policy, signed as a customer's server would. */
function sign(
  policy: unknown,
  { before = "a=1&", after = "&b=2", ...changes }: Partial<PolicyRequest> & { before?: string; after?: string } = {},
): PolicyRequest {
  const text = typeof policy === "string" ? policy : JSON.stringify(policy);
  const request = {
    ...plain,
    ...changes,
    rawQuery: `${before}policy=${Buffer.from(text).toString("base64url")}${after}`,
  };
  const url = urlToSign(request, settings.signatureKey);
  const signature = createHmac("sha1", settings.secretKey).update(url).digest("base64url");
  return { ...request, rawQuery: `${request.rawQuery}&signature=${signature}` };
}

const refusalOf = async (request: PolicyRequest, with_ = settings): Promise<string> => {
  const verdict = await verifySignedPolicy(with_, request, nowMs);
  return verdict.isAdmitted ? "admitted" : verdict.refusal;
};

test("signatures verify as recorded, and no other", async () => {
  assert.notEqual(vectors.length, 0);
  for (const { key, urlToSign: url, signature } of vectors) {
    assert.equal(await isSignedUrl(key, url, signature), true);
    assert.equal(await isSignedUrl(`${key}x`, url, signature), false);
    assert.equal(await isSignedUrl(key, `${url}&c=3`, signature), false);
    assert.equal(await isSignedUrl(key, url, signature.toLowerCase()), false);
    assert.equal(await isSignedUrl("", url, signature), false);
  }
});

test("the signed URL always has a port, and everything but the signature in its order", () => {
  const url = (changes: Partial<PolicyRequest>): string => urlToSign({ ...plain, ...changes }, "signature");
  assert.equal(
    url({ rawQuery: "a=1&signature=x&policy=p&b=2" }),
    "ws://edge.example.com:3333/app/stream?a=1&policy=p&b=2",
  );
  assert.equal(
    url({ host: "edge.example.com:8080", rawQuery: "policy=p" }),
    "ws://edge.example.com:8080/app/stream?policy=p",
  );
  assert.equal(url({ host: "[2001:db8::1]" }), "ws://[2001:db8::1]:3333/app/stream");
});

test("a signed policy admits until it expires, and says when the session must end", async () => {
  assert.deepEqual(
    await verifySignedPolicy(settings, sign({ url_expire: nowMs + 1, stream_expire: nowMs + 2 }), nowMs),
    { isAdmitted: true, streamExpireMs: nowMs + 2 },
  );
  const table: readonly [unknown, string][] = [
    [{ url_expire: nowMs }, "admitted"],
    [{ url_expire: nowMs - 1 }, "expired"],
    [{ url_expire: nowMs + 1, stream_expire: nowMs - 1 }, "expired"],
    [{ url_expire: nowMs + 1, url_activate: nowMs + 1 }, "not-yet"],
    [{ url_expire: nowMs + 1, url_activate: nowMs }, "admitted"],
    [{ url_expire: nowMs + 1, allow_ip: "192.0.2.0/24" }, "admitted"],
    [{ url_expire: nowMs + 1, allow_ip: "198.51.100.0/24" }, "wrong-address"],
    [{ url_expire: nowMs + 1, allow_ip: "nonsense" }, "wrong-address"],
    [{ url_expire: nowMs + 1, real_ip: "192.0.2.7" }, "admitted"],
    [{ url_expire: nowMs + 1, stream_expire: "soon", allow_ip: 7 }, "admitted"],
    [{ url_expire: String(nowMs + 1) }, "bad-policy"],
    [{ url_expire: -1 }, "bad-policy"],
    [{}, "bad-policy"],
    [[], "bad-policy"],
    ["null", "bad-policy"],
    ["{", "bad-policy"],
  ];
  for (const [policy, expected] of table) assert.equal(await refusalOf(sign(policy)), expected, JSON.stringify(policy));
});

test("who has begun may go on after url_expire, and not after stream_expire", async () => {
  const begun = { hasBegun: true };
  assert.equal(await refusalOf(sign({ url_expire: nowMs - 1 }, begun)), "admitted");
  assert.equal(await refusalOf(sign({ url_expire: nowMs - 1, stream_expire: nowMs - 1 }, begun)), "expired");
  assert.equal(await refusalOf(sign({ url_expire: nowMs - 1, allow_ip: "198.51.100.0/24" }, begun)), "wrong-address");
});

test("the address behind a proxy counts for real_ip only", async () => {
  const policy = { url_expire: nowMs + 1, real_ip: "203.0.113.0/24", allow_ip: "192.0.2.0/24" };
  assert.equal(await refusalOf(sign(policy, { realAddress: "203.0.113.5" })), "admitted");
  assert.equal(await refusalOf(sign(policy)), "wrong-address");
});

test("what is missing, changed, reordered or cut admits nobody", async () => {
  const good = sign({ url_expire: nowMs + 1 });
  assert.equal(await refusalOf(good), "admitted");
  assert.equal(await refusalOf(plain), "no-policy");
  assert.equal(await refusalOf({ ...good, rawQuery: good.rawQuery.split("&signature")[0]! }), "no-signature");
  assert.equal(await refusalOf(good, { ...settings, secretKey: "" }), "no-secret");
  assert.equal(
    await refusalOf({ ...good, rawQuery: good.rawQuery.split("&").toReversed().join("&") }),
    "bad-signature",
  );
  for (const changes of [
    { scheme: "wss" },
    { host: "edge.example.com:1" },
    { localPort: 1 },
    { path: "/app/stream2" },
  ]) {
    assert.equal(await refusalOf({ ...good, ...changes }), "bad-signature", JSON.stringify(changes));
  }
  for (let length = 0; length < good.rawQuery.length; length++) {
    assert.notEqual(await refusalOf({ ...good, rawQuery: good.rawQuery.slice(0, length) }), "admitted");
  }
  assert.equal(await refusalOf(sign(" ".repeat(5_000))), "bad-policy");
});
