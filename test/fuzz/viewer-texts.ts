// What a viewer writes into a URL or a header beside the names of files: read in one way only, or not at all.
import assert from "node:assert/strict";
import { viewerAddress } from "../../media-node/api/viewer-address.ts";
import { parseRestPath } from "../../media-node/api/rest/rest-paths.ts";
import { isInRange, parseIp } from "../../media-node/cluster/ticket/ip-range.ts";
import { bearerOf, urlToSign } from "../../media-node/cluster/ticket/signed-policy.ts";
import { parseTraceparent, takeTraceId } from "../../media-node/cluster/trace/trace-id.ts";
import { crossDomainHeaders } from "../../media-node/config/cross-domains.ts";
import { queryValuesOf } from "../../media-node/llhls/query-values.ts";
import { parseTsFileName, serializeTsFileName } from "../../media-node/llhls/ts-names.ts";

export const seeds = [
  "192.0.2.7",
  "[2001:db8::1%eth0]:8080, ::ffff:192.0.2.1, 10.0.0.1",
  "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  "_HLS_msn=12&_HLS_part=3&session=a-b_c&rtid=4bf92f3577b34da6a3ce929d0e0e4736&x",
  "policy=eyJ1cmxfZXhwaXJlIjoxfQ&signature=aaaaaaaaaaaaaaaaaaaaaaaaaaa&a=%20b+c",
  "Bearer eyJ1cmxfZXhwaXJlIjoxfQ==.aaaaaaaaaaaaaaaaaaaaaaaaaaa=",
  "seg_0-1-0123456789abcdef_42_hls.ts",
  "medialist_0-x-0123456789abcdef_hls.m3u8",
  "/v1/vhosts/default/apps/app/streams/a%2Fb:pause?x=1",
  "https://page.example.com:8443",
];

const trusted = ["192.0.2.0/24", "::1"];
const request = { scheme: "http", host: "a", localPort: 80, path: "/app/stream", remoteAddress: "192.0.2.1" };
const crossDomains = { urls: ["https://*.example.com", "http://a"], headers: [{ key: "X-A", value: "b" }] };

export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString("latin1");
  const address = parseIp(text);
  if (address) assert.ok(address.length === 4 || address.length === 16);
  for (const range of [text, `${text}/24`, "2001:db8::/32"]) isInRange(text, range);
  const seen = viewerAddress("192.0.2.1", () => text, trusted);
  assert.ok(seen.address === "192.0.2.1" || parseIp(seen.address), seen.address);
  const trace = parseTraceparent(text);
  if (trace !== undefined) assert.match(trace, /^[\da-f]{32}$/);
  const taken = takeTraceId(text);
  assert.equal(takeTraceId(taken.rawQuery).traceId, undefined);
  checkQuery(text);
  const bearer = bearerOf(text);
  if (bearer !== undefined) assert.ok(text.includes(bearer));
  const url = urlToSign({ ...request, rawQuery: text }, "signature");
  assert.ok(!url.split(/[?&]/).includes("signature") || text.includes("?"), url);
  checkNames(text);
  parseRestPath(text);
  const asked = { origin: text, requestedHeaders: undefined, methods: "GET", isSentOn: false };
  const said = crossDomainHeaders(crossDomains, asked);
  if (said.length > 0) assert.equal(said[1], text);
}

/** The short way to a value and the parser of URLs agree on all that the short way takes. */
function checkQuery(text: string): void {
  const query = new URLSearchParams(text);
  const values = queryValuesOf({ rawQuery: text, query });
  for (const key of ["_HLS_msn", "_HLS_part", "session", "x", "a"]) assert.equal(values.get(key), query.get(key));
}

function checkNames(text: string): void {
  const name = parseTsFileName(text, new URLSearchParams(), true);
  if (name && name.kind !== "master")
    assert.deepEqual(parseTsFileName(serializeTsFileName(name), new URLSearchParams(), true), name);
}
