import { ProtocolError } from "../../media-node/flow/errors.ts";
import { OggPackets } from "../../media-node/transcoding/ogg-packets.ts";

const page = (...segments: number[]): number[] => [
  0x4f,
  0x67,
  0x67,
  0x53,
  0,
  segments[0]! & 1,
  ...Array.from({ length: 20 }, () => 0),
  segments.length,
  ...segments,
  ...segments.flatMap((length) => Array.from({ length }, (_, index) => index & 0xff)),
];

export const seeds = [
  Uint8Array.from([...page(19), ...page(60), ...page(255, 12, 3)]),
  Uint8Array.from([...page(255), ...page(255, 255, 255, 0), ...page(7, 0, 0)]),
];

/** Whole and cut in two, a stream gives the same packets, no longer than what came in. */
export function fuzz(input: Uint8Array): void {
  const cut = input.length === 0 ? 0 : (input[0]! * 31 + input.length) % input.length;
  const whole = read([input]);
  const halves = read([input.subarray(0, cut), input.subarray(cut)]);
  if (whole !== halves) throw new Error(`cut at ${cut}: ${halves} instead of ${whole}`);
}

function read(chunks: readonly Uint8Array[]): string {
  const packets: string[] = [];
  let bytes = 0;
  const ogg = new OggPackets((packet) => {
    bytes += packet.length;
    packets.push(`${packet.length}:${packet[0]}`);
  });
  try {
    for (const chunk of chunks) ogg.push(chunk);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    packets.push(thrown.code);
  }
  if (bytes > chunks.reduce((sum, { length }) => sum + length, 0)) throw new Error("bytes out of nowhere");
  return packets.join(" ");
}
