// An edge in a process of its own that is asked for streams that do not exist.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../infra/laptop/node-process.ts";
import { startClipOrigin } from "./failover-world.ts";
import { cpuSeconds, residentBytes } from "./cpu-time.ts";
import { readMetrics } from "./metrics.ts";
import { seededRandom } from "./seeded-random.ts";
import { until } from "./until.ts";

export interface RandomNamesOptions {
  readonly seconds: number;
  readonly perSecond: number;
  /** Addresses on loopback that the requests come from. */
  readonly clients: number;
}

export interface RandomNamesResult {
  readonly sent: number;
  /** By status; `busy` were not sent, since their client waited for too many answers. */
  readonly answers: Record<string, number>;
  /** Upstream connects of each second. */
  readonly connects: readonly number[];
  /** Of the edge, for an answered request. */
  readonly cpuMsPerRequest: number;
  readonly total: { readonly connects: number; readonly seconds: number };
  /** Of the edge at the end of each tenth. */
  readonly memoryMb: readonly number[];
  readonly viewer: { readonly p99Ms: number; readonly failed: number };
}

const edgeXml = (port: number): string => `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
<Hearth ignore="true"><Node><PublicUrl>http://127.0.0.1</PublicUrl></Node><OperatorPort>0</OperatorPort></Hearth>
<Bind><Publishers><LLHLS><Port>0</Port></LLHLS></Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
<Origins><Origin><Location>/</Location><Pass><Scheme>ovt</Scheme><Urls><Url>127.0.0.1:${port}/</Url></Urls></Pass></Origin></Origins>
<Applications><Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers><Publishers>
<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS></Publishers></Application></Applications>
</VirtualHost></VirtualHosts></Server>`;

const nameCount = 1_000_000;
const maxOpenPerClient = 8;

/** Runs it, with one viewer of a stream that exists. */
export async function askForNobody(options: RandomNamesOptions): Promise<RandomNamesResult> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-names-"));
  const origin = await startClipOrigin();
  const configPath = join(folder, "Server.xml");
  await writeFile(configPath, edgeXml(origin.ovtPort!));
  const edge = new NodeProcess({ id: "edge", configPath, env: {}, onLog: () => {} });
  try {
    const { url, operatorPort } = await edge.start();
    return await run(options, { url: url!, operatorPort: operatorPort!, pid: edge.pid! });
  } finally {
    await edge.stop();
    await origin.close({ code: "done" });
    await rm(folder, { recursive: true, force: true });
  }
}

interface Target {
  readonly url: string;
  readonly operatorPort: number;
  readonly pid: number;
}

async function run(options: RandomNamesOptions, target: Target): Promise<RandomNamesResult> {
  const { seconds, perSecond, clients } = options;
  const viewer = new PlaylistViewer(`${target.url}/app/stream/llhls.m3u8`);
  await viewer.begin();
  const crowd = new Crowd(target.url, clients);
  const connects: number[] = [];
  const memoryMb: number[] = [];
  const startMs = performance.now();
  const cpuBefore = cpuSeconds(target.pid);
  const triesBefore = await triesOf(target);
  let tries = triesBefore;
  let atMs = performance.now();
  for (let sent = 0; performance.now() - startMs < seconds * 1_000;) {
    const due = Math.floor(((performance.now() - startMs) * perSecond) / 1_000);
    for (; sent < due; sent++) crowd.ask();
    await new Promise((resolve) => setTimeout(resolve, 5));
    if (performance.now() - atMs < 1_000) continue;
    const now = await triesOf(target);
    // Asked of a busy node, the answer is as old as it took to come: both ends of the second are taken after it.
    const nowMs = performance.now();
    connects.push(Math.round(((now - tries) * 1_000) / (nowMs - atMs)));
    [tries, atMs] = [now, nowMs];
    const isTenth = (performance.now() - startMs) * 10 >= (memoryMb.length + 1) * seconds * 1_000;
    if (isTenth) memoryMb.push(memoryOf(target.pid));
  }
  await until("the last answers", 15_000, () => crowd.open === 0);
  memoryMb.push(memoryOf(target.pid));
  crowd.close();
  const cpuMs = (cpuSeconds(target.pid) - cpuBefore) * 1_000;
  const answered = Object.entries(crowd.answers).reduce((sum, [kind, count]) => sum + (kind === "busy" ? 0 : count), 0);
  const total = { connects: (await triesOf(target)) - triesBefore, seconds: (performance.now() - startMs) / 1_000 };
  return {
    total,
    cpuMsPerRequest: cpuMs / answered,
    sent: crowd.sent,
    answers: crowd.answers,
    connects,
    memoryMb,
    viewer: viewer.end(),
  };
}

async function triesOf({ operatorPort }: Target): Promise<number> {
  const metrics = await readMetrics(operatorPort);
  return [...metrics].reduce((sum, [name, value]) => sum + (name.startsWith("hearth_pull_tries_total") ? value : 0), 0);
}

const memoryOf = (pid: number): number => Math.round(residentBytes(pid) / 1e6);

/** Clients at addresses of their own, each asking for another name every time. */
class Crowd {
  readonly answers: Record<string, number> = {};
  readonly #port: number;
  readonly #clients: { readonly address: string; readonly agent: Agent; open: number }[];
  readonly #random = seededRandom(7);
  sent = 0;
  open = 0;

  constructor(url: string, count: number) {
    this.#port = Number(new URL(url).port);
    this.#clients = Array.from({ length: count }, (_, index) => ({
      address: `127.0.${1 + (index >> 8)}.${1 + ((index & 0xff) % 254)}`,
      agent: new Agent({ keepAlive: true }),
      open: 0,
    }));
  }

  ask(): void {
    const client = this.#clients[this.sent++ % this.#clients.length]!;
    if (client.open >= maxOpenPerClient) return this.#count("busy");
    const number = Math.floor(this.#random() * nameCount);
    const path = number % 2 === 0 ? `/app/n${number}/llhls.m3u8` : `/a${number}/n/llhls.m3u8`;
    client.open++;
    this.open++;
    const settle = (status: string): void => {
      client.open--;
      this.open--;
      this.#count(status);
    };
    const asked = request(
      { host: "127.0.0.1", port: this.#port, path, agent: client.agent, localAddress: client.address },
      (response) => {
        response.resume().once("end", () => settle(String(response.statusCode)));
      },
    );
    asked.once("error", () => settle("error"));
    asked.end();
  }

  close(): void {
    for (const { agent } of this.#clients) agent.destroy();
  }

  #count(answer: string): void {
    this.answers[answer] = (this.answers[answer] ?? 0) + 1;
  }
}

/** Reads a playlist again and again, as a viewer does. */
class PlaylistViewer {
  readonly #url: string;
  readonly #tookMs: number[] = [];
  #failed = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async begin(): Promise<void> {
    await until("the stream plays", 15_000, async () => (await fetch(this.#url)).status === 200);
    this.#timer = setInterval(() => void this.#read(), 200);
  }

  end(): { p99Ms: number; failed: number } {
    clearInterval(this.#timer);
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    return { p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN, failed: this.#failed };
  }

  async #read(): Promise<void> {
    const startMs = performance.now();
    try {
      const response = await fetch(this.#url);
      await response.text();
      if (response.status !== 200) this.#failed++;
      this.#tookMs.push(performance.now() - startMs);
    } catch {
      this.#failed++;
    }
  }
}
