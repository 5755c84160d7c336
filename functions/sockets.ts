import type { SocketMaker } from "./routes/managed-signalling.ts";

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
