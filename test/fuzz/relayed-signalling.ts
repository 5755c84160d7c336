import assert from "node:assert/strict";
import { SignallingRelay, type SignallingSocket } from "../../functions/signalling/signalling-relay.ts";

export const seeds = [
  '{"command":"request_offer"}',
  '{"command":"offer","id":1,"peer_id":0,"sdp":{"type":"offer","sdp":"v=0"},"candidates":[]}',
  '{"command":"candidate","id":1,"candidates":[]}',
  '{"code":404,"error":"Cannot create offer"}',
];

/** Whatever a player and a node say, each hears only whole messages of the other. */
export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString();
  const listeners: ((event: { data: unknown }) => void)[] = [];
  const socket = (): SignallingSocket => ({
    send(message) {
      assert.equal(typeof JSON.parse(message), "object");
    },
    close() {},
    addEventListener(type: string, listener: (event: never) => void) {
      if (type === "message") listeners.push(listener as (typeof listeners)[number]);
    },
  });
  const never = new Promise<never>(() => {});
  new SignallingRelay(socket(), { dial: () => never, wait: () => never, nowMs: () => 0 }).start(socket());
  for (const data of [text, '{"command":"request_offer"}', text]) for (const listener of listeners) listener({ data });
}
