import type { RtpPacket } from "./rtp-packet.ts";

/** One whole frame put together from RTP payloads. */
export interface RtpFrame {
  /** RTP timestamp, 32 bits, in the payload's clock rate. */
  readonly timestamp: number;
  /** As `Sample.data` of the codec; owned by the receiver, no view into a packet. */
  readonly data: Uint8Array;
  /** Video: decoding can start here. Audio: always true. */
  readonly isKeyframe: boolean;
  /** Something between the previous frame and this one was lost or thrown away. */
  readonly isAfterLoss: boolean;
  /** H.264 and H.265: copies of the VPS, SPS and PPS units inside `data`, when there are any. */
  readonly parameterSets?: readonly Uint8Array[];
  /** H.264: whole pictures from here on, in the order shown, though this is no key frame (a recovery point of 0 frames). */
  readonly isRecovery?: boolean;
  /** H.265: shown before the random access point it follows, and refers to pictures before that (RASL). */
  readonly isLeading?: boolean;
  /** AAC whose AudioSpecificConfig comes in band: the one in force. */
  readonly audioConfig?: Uint8Array;
}

/** Called in the turn of the packet that completed the frame. */
export type EmitFrame = (frame: RtpFrame) => void;

/**
 * Puts frames together from the packets of one RTP stream. Bytes of packets are held as views until their frame is
 * complete, so a packet's buffer must not be reused. A malformed payload counts as a lost packet; nothing throws.
 */
export interface Depacketizer {
  /** @param isAfterLoss at least one packet between the previous one and this one never came */
  push(packet: RtpPacket, isAfterLoss: boolean): void;
  /** Frames or payloads thrown away because they were incomplete or malformed. */
  readonly discarded: number;
}

/** A frame larger than this is no frame: its bytes are let go and it counts as lost. */
export const maxFrameBytes = 16 * 1024 * 1024;
/** The same limit in pieces, so that tiny fragments cannot cost more memory than large ones. */
export const maxFramePieces = 32_768;

/** Joins views into one fresh array. */
export function joinPieces(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}
