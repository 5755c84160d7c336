// A real edge in a process of its own, pulling `app/stream` from an origin in another, and what it costs.
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { allocatorEnv } from "../../infra/laptop/node-process.ts";
import type { NodeMessage } from "../../media-node/node-message.ts";
import type { LiveOriginMessage } from "./live-origin-process.ts";

/** User and system time of a process so far, and the memory it holds now (Linux). */
export interface ProcessCost {
  readonly cpuSeconds: number;
  /** The same of the threads that run now, by their names, those of one name together. */
  readonly threads: ReadonlyMap<string, number>;
  readonly rssBytes: number;
}

export interface EdgeUnderLoad extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly pid: number;
  readonly origin: LiveOriginMessage;
  readonly cost: ProcessCost;
  /** `/metrics` of the edge. */
  metrics(): Promise<string>;
}

export interface EdgeOptions {
  /** Further arguments of Node for the edge, such as `--cpu-prof`. */
  readonly nodeArgs?: readonly string[];
  /** Inside `<Publishers><WebRTC>` of the application. */
  readonly webrtc?: string;
  /** Inside `<Publishers>` of the application. */
  readonly publishers?: string;
  /** Inside `<Bind><Publishers><WebRTC>`. */
  readonly bind?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Of the picture; 2,500 unless given. */
  readonly kbps?: number;
}

const here = import.meta.dirname;
const ticksPerSecond = 100;

/** Name and CPU seconds in a `stat` file of `/proc`. */
function timesOf(path: string): readonly [name: string, cpuSeconds: number] {
  // The name may hold anything; what follows its bracket is numbers: state is field 3, utime and stime 14 and 15.
  const [, name, rest] = /^\d+ \((.*)\) (.*)/s.exec(readFileSync(path, "utf8"))!;
  const fields = rest!.split(" ");
  return [name!, (Number(fields[11]) + Number(fields[12])) / ticksPerSecond];
}

function costOf(pid: number): ProcessCost {
  const rssKb = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  const threads = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const [name, cpuSeconds] = timesOf(`/proc/${pid}/task/${thread}/stat`);
      threads.set(name, (threads.get(name) ?? 0) + cpuSeconds);
    } catch {
      // It ended in the meantime.
    }
  }
  return { cpuSeconds: timesOf(`/proc/${pid}/stat`)[1], threads, rssBytes: rssKb * 1024 };
}

/** Starts both and waits until the edge serves. */
export async function startEdgeUnderLoad(options: EdgeOptions = {}): Promise<EdgeUnderLoad> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-edge-"));
  const children: ChildProcess[] = [];
  const close = async (): Promise<void> => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const source = fork(join(here, "live-origin-process.ts"), [String(options.kbps ?? 2_500)]);
    children.push(source);
    const [origin] = (await once(source, "message")) as [LiveOriginMessage];
    const config = join(folder, "Server.xml");
    await writeFile(config, serverXml(origin.port, options));
    const main = join(here, "../../media-node/main.ts");
    // As infra/vm/hearth-node.service starts it.
    const args = ["--max-semi-space-size=2", ...(options.nodeArgs ?? []), main, "node", "--config", config];
    const edge = spawn(process.execPath, args, {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
      env: { ...allocatorEnv, ...process.env, ...options.env },
    });
    children.push(edge);
    const ready = await new Promise<Extract<NodeMessage, { type: "ready" }>>((resolve, reject) => {
      edge.on("message", (message: NodeMessage) => message.type === "ready" && resolve(message));
      edge.once("exit", (code) => reject(new Error(`the edge ended with code ${code}`)));
    });
    return {
      url: ready.url!,
      pid: edge.pid!,
      origin,
      get cost() {
        return costOf(edge.pid!);
      },
      metrics: async () => (await fetch(`http://127.0.0.1:${ready.operatorPort}/metrics`)).text(),
      [Symbol.asyncDispose]: close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

function serverXml(originPort: number, { webrtc = "", publishers = "", bind }: EdgeOptions): string {
  const ice = bind ?? "<IceCandidates><IceCandidate>127.0.0.1:0/udp</IceCandidate></IceCandidates>";
  return `<?xml version="1.0" encoding="UTF-8"?>
<Server version="8">
  <Name>Edge under load</Name><Type>edge</Type><IP>127.0.0.1</IP>
  <Hearth ignore="true">
    <Node><PublicUrl>http://127.0.0.1</PublicUrl></Node>
    <OperatorPort>0</OperatorPort>
    <AdvertisedAddresses><Address>127.0.0.1</Address></AdvertisedAddresses>
  </Hearth>
  <Bind><Publishers><WebRTC><Signalling><Port>0</Port></Signalling>${ice}</WebRTC></Publishers></Bind>
  <VirtualHosts><VirtualHost>
    <Name>default</Name>
    <Host><Names><Name>*</Name></Names></Host>
    <Origins><Origin>
      <Location>/app/</Location>
      <Pass><Scheme>ovt</Scheme><Urls><Url>127.0.0.1:${originPort}/app/</Url></Urls></Pass>
    </Origin></Origins>
    <Applications><Application>
      <Name>app</Name><Type>live</Type>
      <Providers><OVT /></Providers>
      <Publishers>${publishers}<WebRTC><Timeout>30000</Timeout><Rtx>true</Rtx>${webrtc}</WebRTC></Publishers>
    </Application></Applications>
  </VirtualHost></VirtualHosts>
</Server>
`;
}
