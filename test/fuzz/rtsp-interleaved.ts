import { readFileSync } from "node:fs";
import { RtspDialogue } from "../../media-node/rtsp/rtsp-dialogue.ts";
import { parseRtspUrl } from "../../media-node/rtsp/rtsp-url.ts";

const url = parseRtspUrl("rtsp://user:secret@camera/live");

const recording = readFileSync(new URL("../fixtures/rtsp/gstreamer-h264-aac.bin", import.meta.url));

export const seeds = [
  new Uint8Array(recording.subarray(0, 1_200)),
  new Uint8Array(recording.subarray(1_200, 4_000)),
  "RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nabc$\0\0\x03xyzOPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n",
  "\r\n$\x01\0\x02abgarbageRTSP/1.0 200 OK\nCSeq: 2\n\n",
];

/** Whole and cut in two, the bytes lead a dialogue to the same end, which takes no more than was there. */
export function fuzz(input: Uint8Array): void {
  const whole = lead([input]);
  const cut = input.length === 0 ? 0 : (input[0]! * input.length) >> 8;
  const halves = lead([input.subarray(0, cut), input.subarray(cut)]);
  if (whole !== halves) throw new Error(`cut at ${cut}: ${halves} instead of ${whole}`);
}

function lead(chunks: readonly Uint8Array[]): string {
  let bytes = 0;
  let frames = 0;
  const onInterleaved = (_channel: number, packet: Uint8Array): void => {
    frames++;
    bytes += packet.length;
  };
  const dialogue = new RtspDialogue({ url, random: () => 0.5, onInterleaved });
  dialogue.begin(0);
  const kinds: string[] = [];
  for (const chunk of chunks) {
    for (const event of dialogue.receive(chunk, 0)) kinds.push(event.kind === "ended" ? event.code : event.kind);
  }
  if (bytes + frames * 4 > chunks.reduce((sum, { length }) => sum + length, 0)) throw new Error("bytes out of nowhere");
  return `${kinds.join(" ")} ${frames} ${bytes}`;
}
