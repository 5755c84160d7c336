/** How long a player may hold media back; it is asked to keep within both (milliseconds). */
export interface PlayoutDelay {
  readonly minMs: number;
  readonly maxMs: number;
}

/** What descriptions call it (webrtc.org's experiment, known to Chromium and what is made of it). */
export const playoutDelayUri = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

const maxUnits = 0xfff;

/**
 * The header extension that asks for `delay`, ready to stand behind an RTP header (RFC 8285 §4.2, §4.3):
 *
 *     | 0xBEDE | length 1 | ID (4) | 2 (4) | min (12) | max (12) |                                  ID ≤ 14
 *     | 0x1000 | length 2 | ID (8) | 3 (8) | min (12) | max (12) | padding (24) |                    more
 */
export function serializePlayoutDelay(id: number, { minMs, maxMs }: PlayoutDelay): Uint8Array {
  const [min, max] = [minMs, maxMs].map((ms) => Math.min(maxUnits, Math.round(ms / 10)));
  const value = [min! >> 4, ((min! & 15) << 4) | (max! >> 8), max! & 0xff];
  return Uint8Array.from(
    id <= 14 ? [0xbe, 0xde, 0, 1, (id << 4) | 2, ...value] : [0x10, 0x00, 0, 2, id, 3, ...value, 0, 0, 0],
  );
}
