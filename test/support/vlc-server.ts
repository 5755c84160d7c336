import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./until.ts";

/** VLC serving one file over and over by RTSP. */
export interface VlcServer extends AsyncDisposable {
  readonly url: string;
}

/** Debian's `nobody`: VLC refuses to run as root. */
const nobody = 65_534;

/**
 * @param file readable by everybody
 * @throws when VLC is not installed, or does not begin to serve
 */
export async function startVlcServer(file: string): Promise<VlcServer> {
  const home = await mkdtemp(join(tmpdir(), "hearth-vlc-"));
  await chmod(home, 0o777);
  const port = await freePort();
  const sout = `#rtp{sdp=rtsp://127.0.0.1:${port}/live}`;
  const child = spawn("/usr/bin/cvlc", ["--no-plugins-cache", "--loop", file, "--sout", sout, "--sout-keep"], {
    ...(process.getuid?.() === 0 && { uid: nobody, gid: nobody }),
    env: { HOME: home, PATH: process.env["PATH"] },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-2_000)));
  let failure: string | undefined;
  child.once("error", () => (failure = "this test needs VLC: apt-get install vlc-bin vlc-plugin-base"));
  const gone = once(child, "close").catch(() => {});
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
    await rm(home, { recursive: true, force: true });
  };
  try {
    await until("VLC serves", 20_000, async () => {
      if (failure ?? child.exitCode !== null) throw new Error(failure ?? `VLC ended: ${complaint}`);
      return describes(port);
    });
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { url: `rtsp://127.0.0.1:${port}/live`, [Symbol.asyncDispose]: close };
}

/** Whether both tracks of the file are described: VLC adds them one by one. */
async function describes(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write(`DESCRIBE rtsp://127.0.0.1:${port}/live RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    return answer.includes("m=video") && answer.includes("m=audio");
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
