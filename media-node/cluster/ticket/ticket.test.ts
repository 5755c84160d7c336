import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromBase64Url, importSigningKey, signText, toBase64Url } from "./signing-key.ts";
import { signTicket, ticketLifetimeMs, verifyTicket, type TicketScope } from "./ticket.ts";

const nowMs = Date.UTC(2026, 0, 1);
const scope: TicketScope = { node: "edge1", name: { vhost: "default", app: "app", stream: "ström" }, protocol: "whep" };
const key = await importSigningKey("a secret for tests only");
const ticket = await signTicket(key, scope, nowMs);

describe("a ticket", () => {
  test("admits its viewer", async () => {
    const verdict = await verifyTicket(key, ticket, scope, nowMs);
    assert.deepEqual(verdict, { admitted: true, expiresMs: nowMs + ticketLifetimeMs });
  });

  test("tells the node when the session has to end", async () => {
    const limited = await signTicket(key, scope, nowMs, nowMs + 3_600_000);
    const verdict = await verifyTicket(key, limited, scope, nowMs);
    assert.deepEqual(verdict, {
      admitted: true,
      expiresMs: nowMs + ticketLifetimeMs,
      sessionEndsMs: nowMs + 3_600_000,
    });
  });

  test("is safe in a query as it is", () => {
    assert.equal(encodeURIComponent(ticket), ticket);
  });

  for (const [refusal, elsewhere] of [
    ["other-node", { ...scope, node: "edge2" }],
    ["other-stream", { ...scope, name: { ...scope.name, vhost: "other" } }],
    ["other-stream", { ...scope, name: { ...scope.name, app: "other" } }],
    ["other-stream", { ...scope, name: { ...scope.name, stream: "other" } }],
    ["other-protocol", { ...scope, protocol: "llhls" }],
  ] as const) {
    test(`admits nobody elsewhere: ${refusal}`, async () => {
      assert.deepEqual(await verifyTicket(key, ticket, elsewhere, nowMs), { admitted: false, refusal });
    });
  }

  test("ends 60 s after it was issued, give or take what clocks differ", async () => {
    const admitted = async (atMs: number) => (await verifyTicket(key, ticket, scope, atMs)).admitted;
    assert.equal(await admitted(nowMs + 60_000), true);
    assert.equal(await admitted(nowMs + 65_001), false);
    assert.equal(await admitted(nowMs - 5_000), true);
    assert.equal(await admitted(nowMs - 5_001), false);
  });

  test("of another secret is forged", async () => {
    const other = await importSigningKey("another secret for tests");
    assert.deepEqual(await verifyTicket(other, ticket, scope, nowMs), { admitted: false, refusal: "forged" });
  });

  test("is not made out of another signature of the same key", async () => {
    const payload = ticket.slice(0, ticket.indexOf("."));
    const forged = `${payload}.${await signText(key, "hearth node 1", payload)}`;
    assert.deepEqual(await verifyTicket(key, forged, scope, nowMs), { admitted: false, refusal: "forged" });
  });

  test("cut or changed anywhere admits nobody", async () => {
    for (let at = 0; at < ticket.length; at++) {
      const cut = await verifyTicket(key, ticket.slice(0, at), scope, nowMs);
      assert.equal(cut.admitted, false, `cut at ${at}`);
      const changed = ticket.slice(0, at) + (ticket[at] === "A" ? "B" : "A") + ticket.slice(at + 1);
      assert.equal((await verifyTicket(key, changed, scope, nowMs)).admitted, false, `changed at ${at}`);
    }
  });

  test("signed, but not of this shape, is malformed", async () => {
    for (const claims of ["", "{}", "[]", '["a","b","c","d","e","f","g"]', "[1,2,3,4,5,6,7]", '["\\uD800"]']) {
      const payload = toBase64Url(new TextEncoder().encode(claims));
      const text = `${payload}.${await signText(key, "hearth ticket 1", payload)}`;
      assert.deepEqual(await verifyTicket(key, text, scope, nowMs), { admitted: false, refusal: "malformed" }, claims);
    }
  });

  test("that is not there is missing", async () => {
    for (const none of [null, undefined, ""])
      assert.deepEqual(await verifyTicket(key, none, scope, nowMs), { admitted: false, refusal: "missing" });
  });
});

test("a secret that could be guessed is refused", async () => {
  await assert.rejects(importSigningKey("short"), /at least 16/);
});

test("base64url has one spelling of everything", () => {
  for (let length = 0; length < 40; length++) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 37 + length) & 255);
    assert.deepEqual(fromBase64Url(toBase64Url(bytes)), bytes);
  }
  for (const text of ["A", "AB", "====", "A+", "A/", "A A", "é", "AAA="])
    assert.equal(fromBase64Url(text), undefined, text);
});
