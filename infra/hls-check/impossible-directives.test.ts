import assert from "node:assert/strict";
import { test } from "node:test";
import { askForImpossible, type AskedDirectives } from "./impossible-directives.ts";
import { readMediaPlaylist } from "./playlist-reader.ts";

const listUpTo = (msn: number): string =>
  `#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:${msn}\n#EXTINF:1.000,\nseg_${msn}.m4s\n`;

/** A server whose stream is at `now`; `lax` answers every directive at once. */
function server(now: number, lax = false) {
  return async (directives: AskedDirectives) => {
    const msn = Number(directives["_HLS_msn"]);
    const isRefused = !lax && !(msn <= now);
    return isRefused ? { status: 400, text: "" } : { status: 200, text: listUpTo(now) };
  };
}

test("a checker whose list is old does not take a segment that came meanwhile for an impossible one", async () => {
  const seen = await askForImpossible(readMediaPlaylist(listUpTo(100)), server(150));
  assert.deepEqual([...seen.values()], [400, 400, 400, 400]);
});

test("a server that answers the impossible is told so", async () => {
  const seen = await askForImpossible(readMediaPlaylist(listUpTo(100)), server(100, true));
  assert.deepEqual([...seen.values()], [200, 200, 200, 200]);
});
