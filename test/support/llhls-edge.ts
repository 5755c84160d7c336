import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { NodeProcess } from "../../infra/laptop/node-process.ts";
import { makeCertificate } from "./certificate.ts";

const run = promisify(execFile);

export interface LlhlsEdgeOptions {
  readonly partMs?: number;
  readonly segmentMs?: number;
  /** Of the picture; sound comes on top. */
  readonly videoBitrate?: number;
}

/** A whole node in a process of its own that delivers a looping clip, `app/stream`, as LL-HLS. */
export interface LlhlsEdge {
  readonly pid: number;
  readonly port: number;
  readonly tlsPort: number;
  close(): Promise<void>;
}

export async function startLlhlsEdge(options: LlhlsEdgeOptions = {}): Promise<LlhlsEdge> {
  const { partMs = 500, segmentMs = 4_000, videoBitrate = 2_500_000 } = options;
  const folder = await mkdtemp(join(tmpdir(), "hearth-edge-"));
  const clip = join(folder, "clip.mp4");
  const rate = ["-b:v", `${videoBitrate}`, "-minrate", `${videoBitrate}`, "-maxrate", `${videoBitrate}`];
  const video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-bf", "0", ...rate, "-bufsize", "1M"];
  const inputs = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=r=48000"];
  const outputs = [...video, "-x264-params", "nal-hrd=cbr", "-c:a", "aac", "-b:a", "96k", "-t", "10", clip];
  await run("ffmpeg", ["-v", "error", ...inputs, ...outputs]);
  const { certPath, keyPath } = makeCertificate(folder, "edge.example.com");
  const configPath = join(folder, "Server.xml");
  await writeFile(configPath, serverXml(clip, certPath, keyPath, partMs / 1_000, segmentMs / 1_000));
  const node = new NodeProcess({
    id: "edge",
    configPath,
    env: { HEARTH_LOG_LEVEL: "warn" },
    // As in production.
    flags: [],
    onLog: () => {},
  });
  const close = async (): Promise<void> => {
    await node.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const { url, tlsUrl } = await node.start();
    return { pid: node.pid!, port: Number(new URL(url!).port), tlsPort: Number(new URL(tlsUrl!).port), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

const serverXml = (
  clip: string,
  cert: string,
  key: string,
  part: number,
  segment: number,
): string => `<Server version="8">
<Type>edge</Type><IP>127.0.0.1</IP>
<Bind><Publishers><LLHLS><Port>0</Port><TLSPort>0</TLSPort></LLHLS></Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names>
<TLS><CertPath>${cert}</CertPath><KeyPath>${key}</KeyPath></TLS></Host>
<Origins><Origin><Location>/app/stream</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin>
</Origins><Applications><Application><Name>app</Name><Type>live</Type><Publishers><LLHLS>
<ChunkDuration>${part}</ChunkDuration><SegmentDuration>${segment}</SegmentDuration><SegmentCount>10</SegmentCount>
<CrossDomains><Url>*</Url></CrossDomains></LLHLS></Publishers></Application></Applications></VirtualHost></VirtualHosts></Server>`;
