// An edge dies without a word: whoever comes next is sent to the other one, and the page's players move by themselves.
import { after, before, test } from "node:test";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { openBrowser } from "../support/browser.ts";
import { assertInOrder } from "../support/frame-order.ts";
import { until } from "../support/until.ts";

let cluster: LaptopCluster;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  cluster = await startLaptopCluster({ routerPort: 0 });
  browser = await openBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await cluster?.close();
});

/** Lease of a node record, and one report more. */
const leaseMs = 6_000 + 2_000;

interface Seen {
  readonly node: string;
  readonly frames: number;
  readonly moves: number;
  readonly numbers: number[];
}

test("killing the edge that serves moves both players to the other within the lease", async () => {
  const page = await browser.newPage();
  await page.goto(`${cluster.url}/`);
  const seen = async (kind: "webrtc" | "llhls"): Promise<Seen> =>
    (await page.evaluate(
      `(({ node, frames, moves, numbers }) => ({ node, frames, moves, numbers }))(hearth.${kind})`,
    )) as Seen;
  await page.waitForFunction("window.hearth?.webrtc.frames > 50 && hearth.llhls.frames > 50", undefined, {
    timeout: 30_000,
  });
  const { node: serving } = await seen("llhls");
  const other = serving === "edge-1" ? "edge-2" : "edge-1";
  await cluster.nodes.get(serving)!.stop("SIGKILL");

  await until("the router sends to the other edge", leaseMs, async () => {
    const answer = await fetch(`${cluster.url}/-/resolve/app/stream?protocol=llhls`);
    return ((await answer.json()) as { node: string }).node === other;
  });
  for (const kind of ["llhls", "webrtc"] as const) {
    const moved = await until(`${kind} plays from ${other}`, leaseMs + 10_000, async () => {
      const now = await seen(kind);
      return now.node === other && now.moves >= 1 ? now : undefined;
    });
    await until(`${kind} shows pictures again`, 15_000, async () => (await seen(kind)).frames > moved.frames + 50);
    assertInOrder((await seen(kind)).numbers.slice(-50));
  }

  await cluster.nodes.get(serving)!.start();
  await until("the edge that was started again serves", 10_000, async () => {
    const answer = await fetch(`${cluster.url}/-/cluster`);
    const { nodes } = (await answer.json()) as { nodes: { id: string; state: string }[] };
    return nodes.some(({ id, state }) => id === serving && state === "serving");
  });
  await page.close();
});

test("the page's button stops an edge, and starts it again", async () => {
  const page = await browser.newPage();
  await page.goto(`${cluster.url}/`);
  await page.click('[data-command="stop edge-1"]', { timeout: 15_000 });
  await until("the process is gone", 5_000, () => !cluster.nodes.get("edge-1")!.isRunning);
  await page.click('[data-command="start edge-1"]', { timeout: 20_000 });
  await until("the process is back", 10_000, () => cluster.nodes.get("edge-1")!.isRunning);
  await page.close();
});
