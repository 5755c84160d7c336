import assert from "node:assert/strict";
import { test } from "node:test";
import { readAttributes, readMediaPlaylist, type SeenPlaylist } from "./playlist-reader.ts";
import { reportFaults } from "./rendition-reports.ts";

/** Segments 5 to `msn`, each of three parts; the last is open unless it has them all. */
function list(msn: number, parts: number): SeenPlaylist {
  const lines = ["#EXTM3U", "#EXT-X-MEDIA-SEQUENCE:5"];
  for (let each = 5; each <= msn; each++) {
    const count = each < msn ? 3 : parts;
    for (let part = 0; part < count; part++) lines.push(`#EXT-X-PART:DURATION=1,URI="p${each}.${part}"`);
    if (count === 3) lines.push("#EXTINF:3,", `s${each}`);
  }
  return readMediaPlaylist(lines.join("\n"));
}
const faults = (said: string, before: SeenPlaylist, after = before): string =>
  reportFaults({ report: readAttributes(`URI="other.m3u8?x=1",${said}`), before, after }).join();

test("a report is true where it is the end of the list, up to one part behind, or came in between", () => {
  assert.equal(faults("LAST-MSN=7,LAST-PART=1", list(7, 2)), "");
  assert.equal(faults("LAST-MSN=7,LAST-PART=0", list(7, 2)), "");
  assert.equal(faults("LAST-MSN=6,LAST-PART=2", list(7, 1)), "");
  assert.equal(faults("LAST-MSN=8,LAST-PART=0", list(7, 2), list(8, 2)), "");
});

test("a report that is ahead of its list, or further behind, or without a part is named", () => {
  assert.match(faults("LAST-MSN=7,LAST-PART=2", list(7, 2)), /other\.m3u8 is ahead: 7\.2, listed up to 7\.1$/);
  assert.match(faults("LAST-MSN=8,LAST-PART=0", list(7, 3)), /is ahead: 8\.0/);
  assert.match(faults("LAST-MSN=7,LAST-PART=0", list(7, 3)), /is behind: 7\.0, listed before up to 7\.2$/);
  assert.match(faults("LAST-MSN=6,LAST-PART=2", list(7, 2)), /is behind/);
  assert.match(faults("LAST-MSN=6,LAST-PART=0", list(7, 1)), /is behind/);
  assert.match(faults("LAST-MSN=7", list(7, 2)), /has no LAST-PART/);
  assert.match(faults("LAST-PART=1", list(7, 2)), /has no LAST-MSN/);
});
