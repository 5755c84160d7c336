import { H264Depacketizer } from "../../media-node/rtp/h264-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

/** A unit of two bytes gets a start code of four. */
export function fuzz(input: Uint8Array): void {
  feedDepacketizer(input, 3, (emit) => new H264Depacketizer(emit));
}
