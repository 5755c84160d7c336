import type { SocketMaker } from "./routes/managed-signalling.ts";
import type { PlayerSignallingParts } from "./signalling/player-signalling.ts";

/** The WebSockets of workerd. */
export const workerdSockets: SocketMaker = {
  accept() {
    const { 0: theirs, 1: ours } = new WebSocketPair();
    ours.accept();
    return { answer: new Response(null, { status: 101, webSocket: theirs }), socket: ours };
  },
  async dial(url, headers) {
    const all = { ...headers, Upgrade: "websocket", "Hearth-Routed": "1" };
    const answer = await fetch(url, { headers: all, redirect: "manual" });
    if (!answer.webSocket) {
      await answer.body?.cancel();
      return undefined;
    }
    answer.webSocket.accept();
    return answer.webSocket;
  },
};

/** Those of a Durable Object: the player's socket is handed to the platform, which wakes the object for its messages. */
export function objectSockets(state: DurableObjectState): Omit<PlayerSignallingParts, "router"> {
  return {
    accept() {
      const { 0: theirs, 1: ours } = new WebSocketPair();
      state.acceptWebSocket(ours);
      return { answer: new Response(null, { status: 101, webSocket: theirs }), socket: ours };
    },
    dial: (url, headers) => workerdSockets.dial(url, headers),
    context: { waitUntil: (work) => state.waitUntil(work), passThroughOnException() {} },
  };
}
