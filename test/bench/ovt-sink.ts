// A process of edges that only count: opens COUNT connections to PORT, asks each for app/cam, and reports the bytes taken
// when it is told to. Run by ovt-fan-out.ts, so that the receiving side costs the measured process nothing.
import { connect, type Socket } from "node:net";
import { requestBytes } from "../support/scripted-edge.ts";

const [port, count] = process.argv.slice(2).map(Number);
let bytes = 0;
const taken = new Map<Socket, number>();
const sockets = Array.from({ length: count! }, () => {
  const socket = connect(port!, "127.0.0.1");
  taken.set(socket, 0);
  socket.on("connect", () => {
    socket.write(requestBytes({ application: "play", id: 1, target: "ovt://127.0.0.1:1/app/cam" }));
  });
  socket.on("data", (chunk) => {
    bytes += chunk.length;
    taken.set(socket, taken.get(socket)! + chunk.length);
  });
  socket.on("error", () => {});
  return socket;
});

process.on("message", (message) => {
  if (message === "report") process.send!({ bytes, perSocket: [...taken.values()] });
  else for (const socket of sockets) socket.destroy();
});
