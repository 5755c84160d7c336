import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "../simulate.ts";
import { simulateHerd } from "./herd.ts";
import { simulationSvg } from "./simulation-svg.ts";
import { movedShare, Simulation, type SimulationOptions } from "./simulation.ts";

const options: SimulationOptions = {
  nodes: 20,
  viewers: 10_000,
  streams: 1_000,
  zipf: 1,
  hours: 1,
  stayMinutes: 10,
  lossEveryMinutes: 15,
  lostReports: 0.01,
  routers: 4,
  seed: 7,
};

test("an hour with lost nodes and lost reports: even load, few pulls, nobody refused", () => {
  const { samples, joins, losses, refused } = new Simulation(options).run();
  assert.ok(joins > 50_000 && losses > 0, `seed ${options.seed}: ${joins} joins, ${losses} losses`);
  assert.equal(refused, 0);
  const ratios = samples.map(({ maxOverMean }) => maxOverMean).toSorted((a, b) => a - b);
  assert.ok(ratios[ratios.length >> 1]! <= 1.25, `median of most loaded / mean: ${ratios[ratios.length >> 1]}`);
  for (const { minute, pulls, leastPulls } of samples)
    assert.ok(pulls <= 1.3 * leastPulls, `minute ${minute}: ${pulls} pulls, ${leastPulls} at least`);
});

test("the same seed is the same hour", () => {
  const short = { ...options, hours: 0.25 };
  assert.deepEqual(new Simulation(short).run().samples, new Simulation(short).run().samples);
});

test("when one of n nodes leaves, at most 1.2 / n of the streams move", () => {
  for (const nodes of [5, 20, 50]) assert.ok(movedShare(nodes, 5_000) <= 1.2 / nodes, `${nodes} nodes`);
});

for (const routers of [1, 4, 30, 100])
  test(`20,000 join one new stream in 10 s over ten edges, sent by ${routers} routers: ten pulls at most, and even load`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const herd = simulateHerd({ nodes: 10, joins: 20_000, seconds: 10, routers, seed });
      assert.equal(herd.refused, 0);
      assert.ok(herd.pulls <= 10);
      assert.ok(herd.maxOverMean <= 1.25, `seed ${seed}: most loaded / mean ${herd.maxOverMean}`);
    }
  });

test("the picture shows every panel", () => {
  const svg = simulationSvg(options, new Simulation({ ...options, hours: 0.25 }).run());
  assert.equal(svg.match(/<polyline/g)?.length, 4);
  assert.ok(!svg.includes("NaN"), "a value is missing");
});

test("the command prints its figures, and its usage on a mistake", async () => {
  const lines: string[] = [];
  const print = (line: string) => void lines.push(line);
  assert.equal(await simulate(["--hours", "0.2", "--viewers", "1000", "--streams", "100"], print), 0);
  assert.match(lines.join("\n"), /most loaded \/ mean/);
  assert.match(lines.join("\n"), /herd +20000 join one new stream/);
  assert.equal(await simulate(["--nodes", "many"], print), 2);
  assert.equal(await simulate(["--unknown"], print), 2);
  assert.match(lines.at(-1)!, /hearth simulate/);
});
