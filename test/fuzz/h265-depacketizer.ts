import { H265Depacketizer } from "../../media-node/rtp/h265-depacketizer.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

export function fuzz(input: Uint8Array): void {
  feedDepacketizer(input, 3, (emit) => new H265Depacketizer(emit));
}
