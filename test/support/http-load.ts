/** As many requests as a server takes, from one process that costs little itself: raw sockets, no parser, no retry timers. */
import { connect } from "node:net";

export interface LoadAnswer {
  readonly status: number;
  readonly head: string;
}

/**
 * Sends `count` GET requests over `parallel` kept connections.
 * @param pathOf path of the n-th request
 * @param take sees every answer; `again` sends the same path once more
 */
export async function httpLoad(
  port: number,
  { count, parallel, pathOf }: { count: number; parallel: number; pathOf: (index: number) => string },
  take: (answer: LoadAnswer) => "done" | "again" = () => "done",
): Promise<void> {
  let next = 0;
  const client = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let path = "";
    let held = "";
    const send = () =>
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: live.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: */*\r\n` +
          "Origin: https://site.example\r\n\r\n",
      );
    const go = () => {
      if (next >= count) {
        socket.destroy();
        resolve();
        return;
      }
      path = pathOf(next++);
      send();
    };
    socket.once("connect", go);
    socket.once("error", reject);
    socket.setEncoding("latin1").on("data", (text: string) => {
      held += text;
      const end = held.indexOf("\r\n\r\n");
      if (end < 0 || held.length < end + 4 + Number(/content-length: (\d+)/i.exec(held)?.[1] ?? 0)) return;
      const answer = { status: Number(held.slice(9, 12)), head: held.slice(0, end) };
      held = "";
      if (take(answer) === "again") setTimeout(send, 100);
      else go();
    });
    return promise;
  };
  await Promise.all(Array.from({ length: parallel }, client));
}
