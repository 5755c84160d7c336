import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A GStreamer RTSP server in a process of its own. */
export interface RtspServerProcess {
  readonly port: number;
  /** Ends the process and resolves when it is gone. */
  close(): Promise<void>;
  /** The same without a word to its clients. */
  kill(): Promise<void>;
}

/**
 * Starts `rtsp-server.py` with Debian's Python, whose `gi` knows GStreamer.
 * @throws when GStreamer's RTSP server is not installed
 */
export async function startRtspServer(...options: string[]): Promise<RtspServerProcess> {
  const script = new URL("rtsp-server.py", import.meta.url).pathname;
  const child = spawn("/usr/bin/python3", [script, ...options], { stdio: ["pipe", "pipe", "pipe"] });
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2_000)));
  const gone = once(child, "exit");
  const line = await Promise.race([once(createInterface(child.stdout), "line"), gone]);
  const port = Number(line[0]);
  if (child.exitCode !== null || !port) {
    throw new Error(`GStreamer's RTSP server does not start; install gir1.2-gst-rtsp-server-1.0\n${errors}`);
  }
  const end = async (stop: () => void): Promise<void> => {
    stop();
    const deadline = setTimeout(() => child.kill("SIGKILL"), 3_000);
    await gone;
    clearTimeout(deadline);
  };
  return { port, close: () => end(() => child.stdin.end()), kill: () => end(() => void child.kill("SIGKILL")) };
}
