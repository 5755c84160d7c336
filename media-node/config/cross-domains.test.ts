import assert from "node:assert/strict";
import { test } from "node:test";
import { crossDomainHeaders, isHeader, type CrossDomainRequest } from "./cross-domains.ts";

const methods = "OPTIONS, GET, HEAD";
const ask = (urls: readonly string[], origin: string | undefined, more: Partial<CrossDomainRequest> = {}) =>
  crossDomainHeaders({ urls, headers: [] }, { origin, requestedHeaders: undefined, methods, isSentOn: false, ...more });
const allowed = (...from: Parameters<typeof ask>): string | undefined => ask(...from)[1];

test("a page may read the answer when one of the patterns fits its origin", () => {
  const rows: [readonly string[], string, string | undefined][] = [
    [["*"], "https://page.example.com", "*"],
    [["other.example.com", "*"], "https://page.example.com", "*"],
    [["page.example.com"], "https://page.example.com", "https://page.example.com"],
    [["page.example.com"], "http://page.example.com", "http://page.example.com"],
    [["https://page.example.com"], "http://page.example.com", undefined],
    [["https://*.example.com"], "https://a.b.example.com", "https://a.b.example.com"],
    [["*.example.com"], "https://example.com", undefined],
    [["*.example.com"], "https://page.example.com.evil.net", undefined],
    [["page.example.com"], "https://page.example.com:8443", undefined],
    [["page.example.com:8443"], "https://page.example.com:8443", "https://page.example.com:8443"],
    [["page.example.com"], "file://page.example.com", undefined],
    [["null"], "null", "null"],
    [["page.example.com"], "null", undefined],
    [[], "https://page.example.com", undefined],
  ];
  for (const [urls, origin, expected] of rows)
    assert.equal(allowed(urls, origin), expected, `${urls.join()} ${origin}`);
});

test("what the router sent on says null, and is let in", () => {
  assert.equal(allowed(["page.example.com"], "null", { isSentOn: true }), "null");
  assert.equal(allowed(["page.example.com"], "https://other.example.com", { isSentOn: true }), undefined);
});

test("credentials are allowed to named pages, never to everybody", () => {
  assert.deepEqual(ask(["a.example.com"], "https://a.example.com"), [
    "Access-Control-Allow-Origin",
    "https://a.example.com",
    "Access-Control-Allow-Credentials",
    "true",
    "Access-Control-Allow-Methods",
    methods,
  ]);
  assert.equal(ask(["*"], "https://a.example.com").includes("Access-Control-Allow-Credentials"), false);
});

test("headers of the file are added, and stand in place of ours", () => {
  const headers = crossDomainHeaders(
    {
      urls: ["*"],
      headers: [
        { key: "access-control-allow-headers", value: "X-One" },
        { key: "X-Frame-Options", value: "DENY" },
      ],
    },
    { origin: undefined, requestedHeaders: "X-Two", methods, isSentOn: false },
  );
  assert.deepEqual(headers.slice(4), ["access-control-allow-headers", "X-One", "X-Frame-Options", "DENY"]);
});

test("what cannot stand in a header is known", () => {
  assert.equal(isHeader({ key: "X-A", value: "a b" }), true);
  for (const key of ["", "X A", "X:A", "X\r\nA"]) assert.equal(isHeader({ key, value: "a" }), false, key);
  for (const value of ["a\r\nB: c", "\u0000", "ü"]) assert.equal(isHeader({ key: "X", value }), false, value);
});
