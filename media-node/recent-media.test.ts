import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { recentMsOf } from "./recent-media.ts";

function recentMs(...publishers: string[]): number {
  const applications = publishers.map(
    (text, i) => `<Application><Name>a${i}</Name><Type>live</Type><Publishers>${text}</Publishers></Application>`,
  );
  const { config } = parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>v</Name>
    <Applications>${applications.join("")}</Applications></VirtualHost></VirtualHosts></Server>`,
    { path: "f", env: {} },
  );
  assert.ok(config);
  return recentMsOf(config);
}
const llhls = (seconds: number): string => `<LLHLS><SegmentDuration>${seconds}</SegmentDuration></LLHLS>`;

test("six segments of the longest are kept, and the group of pictures before them", () => {
  assert.equal(recentMs(llhls(2), "<WebRTC/>", llhls(6)), 38_000);
});

test("HLS version 3 has seven kept: its players begin six from the end", () => {
  assert.equal(recentMs(llhls(4), "<HLS><SegmentDuration>5</SegmentDuration></HLS>"), 37_000);
});

test("six seconds are kept where segments are short or there are none", () => {
  assert.equal(recentMs(llhls(0.5)), 6_000);
  assert.equal(recentMs("<WebRTC/>"), 6_000);
});

test("an origin keeps enough for an edge's first list, though it makes none itself", () => {
  assert.equal(recentMs("<OVT/>"), 38_000);
  assert.equal(recentMs(`<OVT/>${llhls(2)}`), 14_000);
  assert.equal(recentMs(`<OVT/>${llhls(8)}`), 50_000);
});

test("never more than an origin gives", () => {
  assert.equal(recentMs(llhls(30)), 60_000);
});
