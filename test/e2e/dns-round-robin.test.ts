// DNS round robin in front of real nodes: gdnsd with the files of infra/dns/gdnsd/, three edges, one that hangs, one that
// is stopped and started again.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { NodeProcess } from "../../infra/laptop/node-process.ts";
import { startGdnsd } from "../support/gdnsd.ts";
import { until } from "../support/until.ts";

const addresses = ["127.0.0.11", "127.0.0.12", "127.0.0.13"] as const;
const name = "edge.stream.example";

const serverXml = `<Server version="8">
  <Name>edge</Name>
  <Type>edge</Type>
  <IP>\${env:TEST_ADDRESS}</IP>
  <Bind><Publishers><LLHLS><Port>\${env:TEST_PORT}</Port></LLHLS></Publishers></Bind>
  <VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
    <Applications><Application><Name>app</Name><Type>live</Type>
      <Providers><OVT /></Providers><Publishers><LLHLS /></Publishers>
    </Application></Applications>
  </VirtualHost></VirtualHosts>
</Server>`;

/** A port that is free on all of them. */
async function commonPort(): Promise<number> {
  const server = createServer().listen(0, "0.0.0.0");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  await new Promise((resolve) => server.close(resolve));
  return address.port;
}

test("an unready node leaves the answers within the check's interval and comes back, and clients spread evenly", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "hearth-dns-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const configPath = join(directory, "Server.xml");
  await writeFile(configPath, serverXml);
  const port = await commonPort();
  const nodes = addresses.map(
    (address) =>
      new NodeProcess({
        id: `edge-${address.split(".")[3]}`,
        configPath,
        env: { TEST_ADDRESS: address, TEST_PORT: String(port), REDIS_URL: "" },
        onLog: () => {},
      }),
  );
  t.after(async () => void (await Promise.all(nodes.map((node) => node.stop("SIGKILL")))));
  await Promise.all(nodes.map((node) => node.start()));
  const dns = await startGdnsd(addresses, port);
  t.after(() => dns.close());
  const answers = async (): Promise<string[]> => (await dns.resolver.resolve4(name)).toSorted();
  const untilAnswersAre = async (what: string, expected: readonly string[]): Promise<void> =>
    void (await until(what, 15_000, async () => (await answers()).join() === expected.join()));

  assert.deepEqual(await answers(), addresses);
  await spreadsEvenly(dns.resolver);

  const [first, second, third] = addresses;
  process.kill(nodes[0]!.pid!, "SIGSTOP");
  await untilAnswersAre("a node that hangs leaves", [second, third]);
  await nodes[1]!.stop();
  await untilAnswersAre("a node that was stopped leaves", [third]);
  process.kill(nodes[2]!.pid!, "SIGSTOP");
  await untilAnswersAre("with none ready all are named: a wrong check empties nothing", addresses);

  process.kill(nodes[0]!.pid!, "SIGCONT");
  await untilAnswersAre("a node that goes on comes back", [first]);
  process.kill(nodes[2]!.pid!, "SIGCONT");
  await nodes[1]!.start();
  await untilAnswersAre("and so does one that was started again", addresses);
});

/** A client takes the first address. 300 of them, three nodes: ±30 is 4 standard deviations of a fair die. */
async function spreadsEvenly(resolver: Awaited<ReturnType<typeof startGdnsd>>["resolver"]): Promise<void> {
  const counts = new Map<string, number>(addresses.map((address) => [address, 0]));
  for (let client = 0; client < 300; client++) {
    const [first] = await resolver.resolve4(name);
    counts.set(first!, (counts.get(first!) ?? 0) + 1);
  }
  for (const [address, count] of counts) assert.ok(Math.abs(count - 100) <= 33, `${address}: ${count} of 300`);
}
