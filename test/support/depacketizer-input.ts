import type { Depacketizer, RtpFrame } from "../../media-node/rtp/depacketizer.ts";

/**
 * Cuts fuzz bytes into RTP packets for a depacketizer: one byte of flags (marker, loss, new timestamp), one of length,
 * then payload. Frames may not hold more than was sent, however often it is announced.
 * @param overhead bytes a depacketizer may add per payload byte, e.g. start codes before one-byte units
 */
export function feedDepacketizer(
  input: Uint8Array,
  overhead: number,
  create: (emit: (frame: RtpFrame) => void) => Depacketizer,
): void {
  let sent = 0;
  let received = 0;
  const depacketizer = create(({ data, timestamp }) => {
    received += data.length;
    if (!Number.isInteger(timestamp) || timestamp < 0 || timestamp > 0xffffffff) throw new Error(`time ${timestamp}`);
  });
  let timestamp = 0xfffffff0;
  for (let at = 0; at + 2 <= input.length;) {
    const flags = input[at]!;
    const payload = input.subarray(at + 2, at + 2 + input[at + 1]!);
    at += 2 + payload.length;
    if (flags & 4) timestamp = (timestamp + 3_600) >>> 0;
    const packet = { marker: (flags & 1) !== 0, payloadType: 96, sequence: 0, timestamp, ssrc: 1, payload };
    depacketizer.push(packet, (flags & 2) !== 0);
    sent += payload.length;
  }
  if (received > sent * overhead) throw new Error(`${received} bytes came of ${sent}`);
}
