import { ProtocolError } from "../../media-node/flow/errors.ts";
import { LatmDepacketizer, parseLatmConfig } from "../../media-node/rtp/latm-depacketizer.ts";
import { Mp3Depacketizer } from "../../media-node/rtp/mp3-depacketizer.ts";
import { Vp8Depacketizer } from "../../media-node/rtp/vp8-depacketizer.ts";
import { WholePacketDepacketizer } from "../../media-node/rtp/whole-packet-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

/** VP8, MP3, LATM and one frame a packet. */
export function fuzz(input: Uint8Array): void {
  feedDepacketizer(input, 1, (emit) => new Vp8Depacketizer(emit));
  feedDepacketizer(input, 1, (emit) => new Mp3Depacketizer(90_000, emit));
  feedDepacketizer(input, 1, (emit) => new LatmDepacketizer(3, 1_024, emit));
  feedDepacketizer(input, 1, (emit) => new WholePacketDepacketizer(emit));
  try {
    parseLatmConfig(input);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}
