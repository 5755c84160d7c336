import assert from "node:assert/strict";
import { steeredMaster } from "../../functions/steering/steered-master.ts";

export const seeds = [
  '#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="c.m3u8"\n' +
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv.m3u8?session=s\n#EXT-X-I-FRAME-STREAM-INF:URI="i.m3u8"\n',
];
const pathways = ["a", "b"].map((id) => ({ id, base: `https://${id}.test/app/stream/llhls.m3u8` }));

/** Whatever a node answers: every line is a tag or an absolute URL, in bounded length. */
export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString();
  const steered = steeredMaster(text, pathways, "https://router.test/-/steer/app/stream");
  for (const line of steered.trimEnd().split("\n")) assert.ok(line.startsWith("#") || URL.canParse(line), line);
  assert.ok(steered.length <= 1_000 + 20 * text.length + 200 * text.split("\n").length);
}
