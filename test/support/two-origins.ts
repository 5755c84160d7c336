import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeProcess } from "../../infra/laptop/node-process.ts";
import { makeCertificate } from "./certificate.ts";
import { readMetrics } from "./metrics.ts";

const clip = join(import.meta.dirname, "../../infra/laptop/loop.mp4");

/** An edge and the two origins that its rule names, each a process; the origins play the same clip by the same clock: `app/stream`. */
export interface TwoOrigins extends AsyncDisposable {
  /** Of the edge, over TCP. */
  readonly url: string;
  /** The same over TLS. */
  readonly tlsUrl: string;
  /** What a browser calls the edge's key: SHA-256 of its public key, base64. */
  readonly spki: string;
  /** Ends the origin that the edge pulls from as a power cut would. @returns its id, and that of the other one */
  killServing(): Promise<readonly [killed: string, left: string]>;
  /** The origins that an edge pulls from now. */
  serving(): Promise<string[]>;
}

const wrapped = (type: string, ports: string, origins: string, publishers: string): string =>
  `<Server version="8"><Type>${type}</Type><IP>127.0.0.1</IP><Hearth ignore="true">
<Node><Id>\${env:HEARTH_NODE_ID}</Id></Node><OperatorPort>0</OperatorPort></Hearth>
<Bind><Publishers>${ports}</Publishers></Bind><VirtualHosts><VirtualHost><Name>default</Name>${origins}
<Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers><Publishers>${publishers}</Publishers>
</Application></Applications></VirtualHost></VirtualHosts></Server>`;

const rule = (scheme: string, urls: readonly string[], more = ""): string =>
  `<Origins><Origin><Location>/app/stream</Location><Pass><Scheme>${scheme}</Scheme><Urls>${urls.map((url) => `<Url>${url}</Url>`).join("")}</Urls></Pass>${more}</Origin></Origins>`;

const anyHost = "<Names><Name>*</Name></Names>";

export async function startTwoOrigins(): Promise<TwoOrigins> {
  const folder = await mkdtemp(join(tmpdir(), "hearth-two-origins-"));
  const nodes: NodeProcess[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  const start = async (id: string, xml: string): Promise<Awaited<ReturnType<NodeProcess["start"]>>> => {
    const configPath = join(folder, `${id}.xml`);
    await writeFile(configPath, xml);
    const node = new NodeProcess({ id, configPath, env: {}, onLog: () => {} });
    nodes.push(node);
    return node.start();
  };
  try {
    const originXml = wrapped(
      "origin",
      "<OVT><Port>0</Port></OVT>",
      `<Host>${anyHost}</Host>${rule("file", [clip], "<Persistent>true</Persistent>")}`,
      "<OVT/>",
    );
    const origins = await Promise.all(["origin-1", "origin-2"].map((id) => start(id, originXml)));
    const { certPath, keyPath } = makeCertificate(folder, "edge.example.com");
    const tls = `<TLS><CertPath>${certPath}</CertPath><KeyPath>${keyPath}</KeyPath></TLS>`;
    const urls = origins.map(({ ovtPort }) => `127.0.0.1:${ovtPort}/app/stream`);
    const edge = await start(
      "edge",
      wrapped(
        "edge",
        "<LLHLS><Port>0</Port><TLSPort>0</TLSPort></LLHLS>",
        `<Host>${anyHost}${tls}</Host>${rule("OVT", urls)}`,
        "<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>2</SegmentDuration></LLHLS>",
      ),
    );
    const serving = async (): Promise<string[]> => {
      const running = origins.filter(({ id }) => nodes.find((node) => node.id === id)!.isRunning);
      const live = await Promise.all(
        running.map(async ({ operatorPort }) => (await readMetrics(operatorPort!)).get("hearth_ovt_connections_live")),
      );
      return running.flatMap(({ id }, index) => (live[index]! > 0 ? [id] : []));
    };
    const publicKey = new X509Certificate(await readFile(certPath)).publicKey.export({ type: "spki", format: "der" });
    return {
      url: edge.url!,
      tlsUrl: edge.tlsUrl!,
      spki: createHash("sha256").update(publicKey).digest("base64"),
      serving,
      async killServing() {
        const [id, ...others] = await serving();
        if (id === undefined || others.length > 0) throw new Error(`the edge pulls from ${[id, ...others].join()}`);
        await nodes.find((node) => node.id === id)!.stop("SIGKILL");
        return [id, id === "origin-1" ? "origin-2" : "origin-1"];
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}
