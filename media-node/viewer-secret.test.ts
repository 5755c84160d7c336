import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { viewerSecretOf } from "./viewer-secret.ts";

function configOf(inside: string, name = "v") {
  const { config } = parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>${name}</Name>${inside}</VirtualHost></VirtualHosts></Server>`,
    { path: "f", env: {} },
  );
  assert.ok(config);
  return config;
}

const policy = (key: string, publishers: string): string =>
  `<SignedPolicy><PolicyQueryKeyName>p</PolicyQueryKeyName><SignatureQueryKeyName>s</SignatureQueryKeyName>
   <SecretKey>${key}</SecretKey><Enables><Publishers>${publishers}</Publishers></Enables></SignedPolicy>`;

test("every node with the same guard makes the same secret, and no other", () => {
  const secret = viewerSecretOf(configOf(policy("k", "llhls")), "v");
  assert.match(secret ?? "", /^[\da-f]{64}$/);
  assert.equal(viewerSecretOf(configOf(policy("k", "webrtc,llhls")), "v"), secret);
  assert.notEqual(viewerSecretOf(configOf(policy("other", "llhls")), "v"), secret);
  assert.notEqual(viewerSecretOf(configOf(policy("k", "llhls"), "w"), "w"), secret);
});

test("what nobody guards has no secret; a guard without a key has one that nobody else knows", () => {
  assert.equal(viewerSecretOf(configOf(""), "v"), undefined);
  assert.equal(viewerSecretOf(configOf(policy("k", "webrtc")), "v"), undefined);
  assert.equal(viewerSecretOf(configOf(policy("k", "llhls")), "none"), undefined);
  const own = viewerSecretOf(configOf(policy("", "llhls")), "v");
  assert.match(own ?? "", /^[\da-f]{64}$/);
});
