import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { test } from "node:test";
import { parseServerXml } from "./config/parse-server-xml.ts";
import type { LlhlsPublisherConfig } from "./config/server-config.ts";
import type { HttpGuest } from "./core/guest.ts";
import { oncePerSetting, publishedBy } from "./published-by.ts";

const application = (name: string, publishers: string): string =>
  `<Application><Name>${name}</Name><Type>live</Type><Publishers>${publishers}</Publishers></Application>`;
const llhls = (seconds: number): string => `<LLHLS><SegmentDuration>${seconds}</SegmentDuration></LLHLS>`;
const { config } = parseServerXml(
  `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>v</Name><Applications>
  ${application("short", llhls(2))}${application("long", llhls(6))}${application("again", llhls(2))}
  ${application("rtc", "<WebRTC/>")}</Applications></VirtualHost></VirtualHosts></Server>`,
  { path: "f", env: {} },
);
assert.ok(config);

test("a request goes to the guest that has its application's settings; equal settings share one", () => {
  const asked: number[] = [];
  const made: number[] = [];
  const guestOf = oncePerSetting(({ segmentDurationMs }: LlhlsPublisherConfig): HttpGuest => {
    made.push(segmentDurationMs);
    return { handle: () => asked.push(segmentDurationMs) > 0 };
  });
  const guest = publishedBy({ configNow: () => config, publisher: "llhls", guestOf, findStream: () => undefined });
  const ask = (vhost: string, app: string): boolean | undefined => {
    const query = new URLSearchParams();
    const place = { vhost, app, stream: "s", file: "llhls.m3u8", rawQuery: "", query };
    const target = { ...place, baseUrl: "http://h", remoteAddress: "192.0.2.1" };
    return guest.handle?.({} as IncomingMessage, {} as ServerResponse, target);
  };
  assert.deepEqual(
    ["short", "long", "again"].map((app) => ask("v", app)),
    [true, true, true],
  );
  assert.deepEqual(asked, [2_000, 6_000, 2_000]);
  assert.deepEqual(made, [2_000, 6_000]);
  assert.deepEqual([ask("v", "rtc"), ask("v", "none"), ask("w", "short")], [false, false, false]);
});
