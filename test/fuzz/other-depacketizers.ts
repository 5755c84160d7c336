import { ProtocolError } from "../../media-node/flow/errors.ts";
import { Av1Depacketizer } from "../../media-node/rtp/av1-depacketizer.ts";
import { LatmDepacketizer, parseLatmConfig } from "../../media-node/rtp/latm-depacketizer.ts";
import { Mp3Depacketizer } from "../../media-node/rtp/mp3-depacketizer.ts";
import { Vp8Depacketizer } from "../../media-node/rtp/vp8-depacketizer.ts";
import { Vp9Depacketizer } from "../../media-node/rtp/vp9-depacketizer.ts";
import { WholePacketDepacketizer } from "../../media-node/rtp/whole-packet-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

/** VP8, VP9, AV1, MP3, LATM and one frame a packet. */
export function fuzz(input: Uint8Array): void {
  feedDepacketizer(input, 1, (emit) => new Vp8Depacketizer(emit));
  feedDepacketizer(input, 1, (emit) => new Mp3Depacketizer(90_000, emit));
  feedDepacketizer(input, 1, (emit) => new LatmDepacketizer({ framesPerElement: 3, frameTicks: 1_024 }, emit));
  feedDepacketizer(input, 1, (emit) => new LatmDepacketizer({ frameTicksOf: () => 1_024 }, emit));
  feedDepacketizer(input, 1, (emit) => new Vp9Depacketizer(emit));
  // An OBU of one byte gets its length beside it.
  feedDepacketizer(input, 2, (emit) => new Av1Depacketizer(emit));
  feedDepacketizer(input, 1, (emit) => new WholePacketDepacketizer(emit));
  try {
    parseLatmConfig(input);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}
