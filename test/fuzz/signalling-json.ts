import assert from "node:assert/strict";
import { SignallingDialogue } from "../../media-node/webrtc/signalling-dialogue.ts";

const offerId = 7;

/** Lines of the input are the messages of one player; none may be thrown at, and an offer is asked for once at a time. */
export function fuzz(input: Uint8Array): void {
  const dialogue = new SignallingDialogue();
  let isAsked = false;
  for (const line of Buffer.from(input.buffer, input.byteOffset, input.length).toString("utf8").split("\n")) {
    const event = dialogue.receive(line);
    if (event.kind === "failed") return;
    if (event.kind !== "offer-requested") continue;
    assert.equal(isAsked, false);
    isAsked = true;
    if (line.length % 2 === 0) {
      dialogue.offered(offerId);
      isAsked = false;
    }
  }
}

/** What random changes start from: a whole session. */
export const seeds: readonly string[] = [
  `{"command":"request_offer"}
{"command":"answer","id":7,"peer_id":0,"sdp":{"type":"answer","sdp":"v=0"}}
{"command":"candidate","id":7,"candidates":[{"candidate":"candidate:1","sdpMLineIndex":0}]}
{"command":"change_rendition","id":7,"rendition_name":"low","auto":true}
{"command":"pong"}
{"command":"offer_p2p","id":7}
{"command":"stop","id":7}`,
];
