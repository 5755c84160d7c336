import assert from "node:assert/strict";
import { test } from "node:test";
import { checkHls } from "./checks.ts";
import type { HlsRecord, TrackRecord } from "./observe.ts";
import { readMediaPlaylist } from "./playlist-reader.ts";

interface ListOptions {
  readonly first: number;
  readonly last: number;
  readonly skipped?: number;
  readonly canSkip?: number;
}

/** Segments of 2 s; 5 is a gap, and before 8 time breaks off. */
function list({ first, last, skipped = 0, canSkip = 12 }: ListOptions): string {
  const lines = ["#EXTM3U", "#EXT-X-VERSION:9", "#EXT-X-TARGETDURATION:2"];
  lines.push(`#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=${canSkip}`, `#EXT-X-MEDIA-SEQUENCE:${first}`);
  if (skipped > 0) lines.push(`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`);
  for (let msn = first + skipped; msn <= last; msn++) {
    if (msn === 8) lines.push("#EXT-X-DISCONTINUITY");
    if (msn === first || msn === 8) lines.push(`#EXT-X-MAP:URI="init_${msn < 8 ? "a" : "b"}"`);
    if (msn === 5) lines.push("#EXT-X-GAP");
    lines.push("#EXTINF:2.000,", `seg_${msn}`);
  }
  return `${lines.join("\n")}\n`;
}

function faults(older: string, full: string, delta: string): readonly string[] {
  const first = readMediaPlaylist(older);
  const seen = { full: readMediaPlaylist(full), delta: readMediaPlaylist(delta) };
  // The other rules ask for more, and say so; they are not judged here.
  const track = { first, reloads: [], delta: seen } as unknown as TrackRecord;
  const record = { tracks: new Map([["list.m3u8", track]]) } as unknown as HlsRecord;
  return checkHls(record).find(({ rule }) => rule === "a delta update restores the playlist")!.faults;
}

const window = { first: 3, last: 17 };
const older = list({ first: 1, last: 14 });

test("a delta that leaves out what the player has restores the list, across a gap and a discontinuity", () => {
  for (const skipped of [1, 3, 5, 8])
    assert.deepEqual(faults(older, list(window), list({ ...window, skipped })), [], `${skipped}`);
});

test("a delta that does not restore the list is named, and so is a boundary nearer than six target durations", () => {
  const wrong = /a delta does not restore the playlist/;
  const delta = list({ ...window, skipped: 5 });
  assert.match(faults(older, list(window), delta.replace("SEGMENTS=5", "SEGMENTS=4")).join(), wrong);
  assert.match(faults(older, list(window), delta.replace("SEQUENCE:3", "SEQUENCE:2")).join(), wrong);
  assert.match(faults(older, list(window), delta.replace("#EXT-X-DISCONTINUITY\n", "")).join(), wrong);
  assert.match(faults(older.replace("#EXT-X-GAP\n", ""), list(window), delta).join(), wrong);
  const near = { ...window, canSkip: 10 };
  assert.match(
    faults(list({ ...near, first: 1 }), list(near), list({ ...near, skipped: 5 })).join(),
    /CAN-SKIP-UNTIL is 10, less than 6 target durations/,
  );
});
