import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingError } from "../flow/errors.ts";
import { controlBaseOf, followRedirect, parseRtspUrl, resolveControl, takeTransport } from "./rtsp-url.ts";

test("takes URLs apart without rewriting what servers compare", () => {
  assert.deepEqual(parseRtspUrl("RTSP://Us%20er:p%40ss@Cam.local/a%2Fb/../c?x=%41&y"), {
    isSecure: false,
    host: "cam.local",
    port: 554,
    path: "/a%2Fb/../c?x=%41&y",
    credentials: { user: "Us er", password: "p@ss" },
    requestUri: "rtsp://Cam.local/a%2Fb/../c?x=%41&y",
  });
  assert.equal(parseRtspUrl("rtsps://c/x").port, 322);
  assert.equal(parseRtspUrl("rtsp://[::1]:8554/x").host, "::1");
  assert.equal(parseRtspUrl("rtsp://a:b@c@cam/x").credentials?.password, "b@c");
  assert.equal(parseRtspUrl("rtsp://u:100%@cam/x").credentials?.password, "100%");
});

test("refuses what is no RTSP URL or could end a request line", () => {
  for (const url of [
    "",
    "http://a/b",
    "rtsp://",
    "rtsp:///x",
    "rtsp://a/b c",
    "rtsp://a/b\r\nX: y",
    "rtsp://a:0/",
    "rtsp://a:99999/",
  ]) {
    assert.throws(() => parseRtspUrl(url), SettingError, url);
  }
});

test("resolves control attributes in the shapes servers write", () => {
  const url = parseRtspUrl("rtsp://u:p@cam:8554/live?ch=1");
  const rows: [contentBase: string | undefined, control: string | undefined, expected: string][] = [
    ["rtsp://cam:8554/live/", "trackID=1", "rtsp://cam:8554/live/trackID=1"],
    ["rtsp://cam:8554/live", "trackID=1", "rtsp://cam:8554/live/trackID=1"],
    ["rtsp://cam:8554/live/", "/trackID=1", "rtsp://cam:8554/live/trackID=1"],
    // Behind an address translation the server names itself by an address of its own.
    ["rtsp://192.168.0.64/live/", "trackID=1", "rtsp://cam:8554/live/trackID=1"],
    ["rtsp://192.168.0.64/live/", "rtsp://192.168.0.64/live/trackID=1", "rtsp://cam:8554/live/trackID=1"],
    ["rtsp://u:p@cam:8554/live/", "a", "rtsp://cam:8554/live/a"],
    // A base that ends in a query is joined as text.
    ["rtsp://cam:8554/live?ch=1/", "trackID=0", "rtsp://cam:8554/live?ch=1/trackID=0"],
    [undefined, "trackID=0", "rtsp://cam:8554/live?ch=1/trackID=0"],
    ["rtsp://cam:8554/live/", "?ctype=video", "rtsp://cam:8554/live/?ctype=video"],
    ["rtsp://cam:8554/live/", "*", "rtsp://cam:8554/live/"],
    ["rtsp://cam:8554/live/", undefined, "rtsp://cam:8554/live/"],
    ["/live/", "a", "rtsp://cam:8554/live?ch=1/a"],
    ["", "", "rtsp://cam:8554/live?ch=1"],
  ];
  for (const [contentBase, control, expected] of rows) {
    assert.equal(resolveControl(url, controlBaseOf(url, contentBase), control), expected);
  }
});

test("follows redirects within the rule's host only, and never out of TLS", () => {
  const from = parseRtspUrl("rtsp://u:p@cam/live");
  assert.equal(followRedirect(from, "rtsp://cam:8555/other")?.requestUri, "rtsp://cam:8555/other");
  assert.deepEqual(followRedirect(from, "rtsps://CAM/other")?.credentials, from.credentials);
  assert.equal(followRedirect(from, "rtsp://evil/live"), undefined);
  assert.equal(followRedirect(from, "http://cam/live"), undefined);
  assert.equal(followRedirect(parseRtspUrl("rtsps://cam/live"), "rtsp://cam/live"), undefined);
});

test("the rule's word about the transport is taken out of its URL; servers' own parameters stay", () => {
  const rows: [url: string, address: string, transport: string | undefined][] = [
    ["rtsp://cam/live", "rtsp://cam/live", undefined],
    ["rtsp://cam/live?transport=udp", "rtsp://cam/live", "udp"],
    ["rtsp://u:p@cam/live?a=1&Transport=TCP&b=%20", "rtsp://u:p@cam/live?a=1&b=%20", "tcp"],
    ["rtsp://cam/live?transport=auto&transport=udp", "rtsp://cam/live?transport=udp", "auto"],
    ["rtsp://cam/live?transport=multicast", "rtsp://cam/live?transport=multicast", undefined],
    ["rtsp://cam/live?xtransport=udp", "rtsp://cam/live?xtransport=udp", undefined],
  ];
  for (const [url, address, transport] of rows) {
    const taken = takeTransport(url);
    assert.deepEqual([taken.url, taken.transport], [address, transport]);
  }
});
