import assert from "node:assert/strict";
import { splitPath } from "../../media-node/cluster/origin-map/split-path.ts";
import { takeUrlApart } from "../../functions/asked-url.ts";
import { isProblem, parseRequestedStream } from "../../functions/requested-stream.ts";
import { singleVhost } from "../../functions/vhosts.ts";

export const seeds = [
  "http://router.test/app/stream/llhls.m3u8?policy=a&signature=b",
  "https://[::1]:8443/app/stream",
  "http://router.test//app/../stream/%2e%2e/x.m3u8#f",
];

/** Whatever a runtime hands over as a URL: a sentence, or names that stay in their place in a node's URL. */
export function fuzz(input: Uint8Array): void {
  const url = Buffer.from(input).toString();
  const apart = takeUrlApart(url);
  if (!apart) return;
  assert.equal(apart.search, new URL(url).search);
  assert.equal(apart.origin, new URL(url).origin);
  const stream = parseRequestedStream(apart.path, "router.test", singleVhost);
  if (isProblem(stream)) return;
  const { app, stream: name } = splitPath(apart.path);
  assert.deepEqual([stream.name.app, stream.name.stream], [app, name]);
  const atNode = new URL(`https://node.test${stream.path}?rt=x`);
  assert.equal(atNode.origin, "https://node.test");
  assert.equal(atNode.search, "?rt=x");
  const depth = stream.file === "" ? 2 : 3;
  assert.equal(atNode.pathname.split("/").length - 1, depth, stream.path);
}
