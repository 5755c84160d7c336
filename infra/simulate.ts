/** `hearth simulate`: a day of a cluster under the router's real decision code. See docs/simulator.md. */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { simulateHerd } from "./simulate/herd.ts";
import { simulationSvg } from "./simulate/simulation-svg.ts";
import { movedShare, Simulation, type SimulationOptions, type SimulationResult } from "./simulate/simulation.ts";

const usage = `hearth simulate [--nodes 50] [--viewers 100000] [--streams 10000] [--zipf 1.0] [--hours 24] [--stay 30]
                [--loss-every 120] [--lost-reports 0.01] [--routers 4] [--seed 1] [--svg simulation.svg]

  --stay          minutes that a viewer stays on average
  --loss-every    minutes between two losses of a node; 0: none
  --lost-reports  share of node reports that get lost
  --svg           writes the day as a picture`;

/** Runs the command with its own arguments; resolves with the exit code. */
export async function simulate(args: readonly string[], print: (line: string) => void = console.log): Promise<number> {
  let settings: ReturnType<typeof parseSettings>;
  try {
    settings = parseSettings(args);
  } catch (thrown) {
    settings = `${thrown instanceof Error ? thrown.message : String(thrown)}\n\n${usage}`;
  }
  if (typeof settings === "string") {
    print(settings);
    return settings === usage ? 0 : 2;
  }
  const { options, svg } = settings;
  const result = new Simulation(options).run();
  for (const line of describeResult(options, result)) print(line);
  if (svg) {
    await writeFile(svg, simulationSvg(options, result));
    print(`picture               ${svg}`);
  }
  return 0;
}

function parseSettings(args: readonly string[]): { options: SimulationOptions; svg: string | undefined } | string {
  const text = (fallback: string) => ({ type: "string", default: fallback }) as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      nodes: text("50"),
      viewers: text("100000"),
      streams: text("10000"),
      zipf: text("1.0"),
      hours: text("24"),
      stay: text("30"),
      "loss-every": text("120"),
      "lost-reports": text("0.01"),
      routers: text("4"),
      seed: text("1"),
      svg: { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return usage;
  const { svg, help: _, ...texts } = values;
  const numbers = Object.entries(texts).map(([name, value]) => [name, Number(value)] as const);
  const wrong = numbers.find(([, value]) => !Number.isFinite(value) || value < 0);
  if (wrong) return `--${wrong[0]} takes a number that is not negative\n\n${usage}`;
  const { stay, "loss-every": lossEveryMinutes, "lost-reports": lostReports, ...rest } = Object.fromEntries(numbers);
  const { nodes, viewers, streams, zipf, hours, routers, seed } = rest;
  if (!nodes || !viewers || !streams || !routers || !stay) return `every size needs to be 1 at least\n\n${usage}`;
  const sizes = { nodes, viewers, streams, routers, stayMinutes: stay };
  return {
    options: {
      ...sizes,
      zipf: zipf!,
      hours: hours!,
      lossEveryMinutes: lossEveryMinutes!,
      lostReports: lostReports!,
      seed: seed!,
    },
    svg,
  };
}

function describeResult(options: SimulationOptions, result: SimulationResult): string[] {
  const { samples, joins, losses, refused, misled, decisionUs } = result;
  const ratios = samples.map(({ maxOverMean }) => maxOverMean).toSorted((a, b) => a - b);
  const pulls = samples.map((sample) => sample.pulls / sample.leastPulls).toSorted((a, b) => a - b);
  const at = (sorted: readonly number[], share: number) =>
    (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(3);
  const moved = movedShare(options.nodes, Math.min(options.streams, 5_000));
  return [
    `joins                 ${joins}, ${refused} refused, ${misled} sent to a node that had just died (${losses} did)`,
    `most loaded / mean    median ${at(ratios, 0.5)}, worst minute of a hundred ${at(ratios, 0.99)}, worst ${at(ratios, 1)}`,
    `pulls / fewest        median ${at(pulls, 0.5)}, worst ${at(pulls, 1)}`,
    `streams that move     ${(100 * moved).toFixed(2)} % when one of ${options.nodes} nodes leaves (fewest: ${(100 / options.nodes).toFixed(2)} %)`,
    describeHerd(options),
    `one decision          ${decisionUs.toFixed(1)} µs`,
    `seed                  ${options.seed}`,
  ];
}

/** Beside the day: what a new stream does that everybody wants at once. */
function describeHerd({ nodes, routers, seed }: SimulationOptions): string {
  const joins = 20_000;
  const { pulls, maxOverMean } = simulateHerd({ nodes, joins, seconds: 10, routers, seed });
  return `herd                  ${joins} join one new stream in 10 s: ${pulls} nodes pull it, most loaded / mean ${maxOverMean.toFixed(3)}`;
}

if (import.meta.main) process.exitCode = await simulate(process.argv.slice(2));
