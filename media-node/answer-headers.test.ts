import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { test } from "node:test";
import { withAnswerHeaders, type AnswerRules } from "./answer-headers.ts";
import type { HttpGuest, PlainExchange, ViewerTarget } from "./core/guest.ts";

const written = ["Access-Control-Allow-Origin", "*", "Cache-Control", "no-cache", "Vary", "Accept-Encoding", "X", "1"];

/** Sends one answer through the rules. */
function send(rules: AnswerRules | undefined, origin: string, query = "") {
  const sent: (readonly string[])[] = [];
  const exchange: PlainExchange = {
    method: "GET",
    isOver: false,
    header: (name) => (name === "origin" ? origin : undefined),
    send: (_status, all) => void sent.push(all),
    onGone() {},
  };
  const guest: HttpGuest = { serve: (asked) => (asked.send(200, written), true) };
  const target = { query: new URLSearchParams(query) } as unknown as ViewerTarget;
  assert.equal(withAnswerHeaders(guest, () => rules).serve?.(exchange, target), true);
  return sent[0]!;
}

const listed = { crossDomains: { urls: ["page.example.com"], headers: [] }, methods: "GET" };

test("without rules an answer is the guest's, the very same array", () => {
  assert.equal(send(undefined, "https://page.example.com"), written);
});

test("a page that is listed may read the answer, another not; caches are told that it matters who asks", () => {
  const allowed = send(listed, "https://page.example.com");
  assert.equal(
    allowed.join("|"),
    "Cache-Control|no-cache|X|1|Access-Control-Allow-Origin|https://page.example.com|" +
      "Access-Control-Allow-Credentials|true|Access-Control-Allow-Methods|GET|Vary|Accept-Encoding, Origin",
  );
  assert.equal(send(listed, "https://page.example.com"), allowed, "made once for everybody alike");
  const refused = send(listed, "https://other.example.com");
  assert.deepEqual([...refused], ["Cache-Control", "no-cache", "X", "1", "Vary", "Accept-Encoding, Origin"]);
});

test("pages that take turns get what is theirs, and a change of the rules counts at once", () => {
  const [first, second] = ["https://page.example.com", "http://page.example.com"];
  const arrays = [send(listed, first), send(listed, second), send(listed, first), send(listed, second)];
  assert.deepEqual(
    arrays.map((all) => all[all.indexOf("Access-Control-Allow-Origin") + 1]),
    [first, second, first, second],
  );
  assert.ok(arrays[0] === arrays[2] && arrays[1] === arrays[3]);
  const changed = { ...listed, crossDomains: { urls: ["*"], headers: [] } };
  assert.ok(send(changed, first).join("|").includes("Access-Control-Allow-Origin|*"));
  assert.ok(
    send({ ...listed, methods: "POST" }, first)
      .join("|")
      .includes("Access-Control-Allow-Methods|POST"),
  );
});

test("the page of a viewer whom the router or a node sent on is not known, and is let in", () => {
  assert.equal(send(listed, "null", "rt=ticket").includes("null"), true);
  assert.equal(send(listed, "null", "session=token").includes("null"), true);
  assert.equal(send(listed, "null").includes("null"), false);
});

test("a fault is a status that pages which are listed may read, and the door's to log", () => {
  const sent: [number, readonly string[]][] = [];
  const exchange: PlainExchange = {
    method: "GET",
    isOver: false,
    header: (name) => (name === "origin" ? "https://page.example.com" : undefined),
    send: (status, all) => void sent.push([status, all]),
    onGone() {},
  };
  const guest: HttpGuest = {
    serve: () => {
      throw new Error("a bug of ours");
    },
  };
  const target = { query: new URLSearchParams() } as unknown as ViewerTarget;
  const ruled = withAnswerHeaders(guest, () => listed);
  assert.throws(() => ruled.serve?.(exchange, target), /a bug of ours/);
  const [[status, all]] = sent as [[number, readonly string[]]];
  assert.equal(status, 500);
  assert.equal(all[all.indexOf("Access-Control-Allow-Origin") + 1], "https://page.example.com");
  assert.equal(all[all.indexOf("Cache-Control") + 1], "no-store");
});

test("the rules of the guest that answers hold, not those of the ones that were asked before", async () => {
  const others: HttpGuest = { handle: () => false };
  const own: HttpGuest = {
    handle(_request: IncomingMessage, response: ServerResponse) {
      const headers = { "Access-Control-Expose-Headers": "Location", "Cache-Control": "no-store", Location: "/x" };
      response.writeHead(201, headers).end();
      return true;
    },
  };
  const open = { crossDomains: { urls: ["*"], headers: [] } };
  const guests = [
    withAnswerHeaders(others, () => ({ ...open, methods: "GET" })),
    withAnswerHeaders(others, () => undefined),
    withAnswerHeaders(own, () => ({ ...open, methods: "GET, DELETE" })),
  ];
  const target = { query: new URLSearchParams() } as unknown as ViewerTarget;
  const server = createServer((request, response) => {
    guests.some((guest) => guest.handle?.(request, response, target));
  }).listen(0);
  await once(server, "listening");
  try {
    const address = server.address();
    assert.ok(address && typeof address === "object");
    const { headers } = await fetch(`http://127.0.0.1:${address.port}/`, { method: "DELETE" });
    const names = ["access-control-allow-methods", "access-control-expose-headers", "cache-control", "location"];
    assert.deepEqual(
      names.map((name) => headers.get(name)),
      ["GET, DELETE", "Location", "no-store", "/x"],
    );
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("the same holds for answers that node:http writes", async () => {
  const guest: HttpGuest = {
    handle(_request: IncomingMessage, response: ServerResponse) {
      response.writeHead(201, { "Access-Control-Allow-Origin": "*", Location: "/x" }).end("body");
      return true;
    },
  };
  const target = { query: new URLSearchParams() } as unknown as ViewerTarget;
  const ruled = withAnswerHeaders(guest, () => listed);
  const server = createServer((request, response) => void ruled.handle?.(request, response, target)).listen(0);
  await once(server, "listening");
  try {
    const address = server.address();
    assert.ok(address && typeof address === "object");
    const ask = (origin: string) => fetch(`http://127.0.0.1:${address.port}/`, { headers: { origin } });
    const allowed = await ask("https://page.example.com");
    assert.equal(allowed.headers.get("access-control-allow-origin"), "https://page.example.com");
    assert.deepEqual([allowed.status, allowed.headers.get("location"), await allowed.text()], [201, "/x", "body"]);
    assert.equal((await ask("https://other.example.com")).headers.get("access-control-allow-origin"), null);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
