import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import type { DialRtsp } from "../../media-node/rtsp/rtsp-session.ts";

/** A process that is any number of cameras of 2.5 Mbit/s, one a connection. */
export interface CameraFarm extends AsyncDisposable {
  readonly url: string;
  /** Milliseconds since 1970 on the clock that its pictures carry in their last 8 bytes. */
  readonly nowMs: () => number;
}

/** @param groupFrames pictures from key frame to key frame, of 25 a second */
export async function startCameraFarm(groupFrames: number): Promise<CameraFarm> {
  const script = new URL("rtsp-camera-farm.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [script, String(groupFrames)], { stdio: ["pipe", "pipe", "inherit"] });
  const gone = once(child, "exit");
  const [line] = (await Promise.race([once(createInterface(child.stdout), "line"), gone])) as [string];
  return {
    url: `rtsp://127.0.0.1:${Number(line)}/live`,
    nowMs: () => performance.timeOrigin + performance.now(),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await gone;
    },
  };
}

/** As the node dials, without waiting to gather bytes. */
export const dialFarm: DialRtsp = async (host, port, signal) => {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, "connect", { signal });
  return socket;
};
