import type { Sample, SimulationOptions, SimulationResult } from "./simulation.ts";

const width = 960;
const panelHeight = 150;
const margin = 60;

interface Panel {
  readonly title: string;
  readonly valueOf: (sample: Sample) => number;
  /** A line that the values should stay under. */
  readonly goal?: number;
  readonly least: number;
}

const panels: readonly Panel[] = [
  { title: "viewers", valueOf: ({ viewers }) => viewers, least: 0 },
  { title: "nodes up", valueOf: ({ upNodes }) => upNodes, least: 0 },
  { title: "most loaded node / mean", valueOf: ({ maxOverMean }) => maxOverMean, goal: 1.25, least: 1 },
  { title: "pulls / fewest possible", valueOf: ({ pulls, leastPulls }) => pulls / leastPulls, goal: 1.3, least: 1 },
];

/** The day as a picture: one panel a question, minutes from left to right. */
export function simulationSvg(options: SimulationOptions, { samples }: SimulationResult): string {
  const height = panels.length * (panelHeight + margin) + margin;
  const heading = `${options.nodes} nodes, ${options.viewers} viewers, ${options.streams} streams, Zipf ${options.zipf}, seed ${options.seed}`;
  const body = panels.map((panel, index) => drawPanel(panel, samples, margin + index * (panelHeight + margin)));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${margin}" y="28" font-size="16">${heading}</text>
${body.join("\n")}
</svg>
`;
}

function drawPanel({ title, valueOf, goal, least }: Panel, samples: readonly Sample[], top: number): string {
  const values = samples.map(valueOf);
  const most = Math.max(goal ?? least, ...values) * 1.05;
  const y = (value: number) => (top + panelHeight * (1 - (value - least) / (most - least || 1))).toFixed(1);
  const x = (index: number) => (margin + ((width - 2 * margin) * index) / Math.max(1, values.length - 1)).toFixed(1);
  const line = values.map((value, index) => `${x(index)},${y(value)}`).join(" ");
  const right = width - margin;
  const goalLine =
    goal === undefined
      ? ""
      : `<line x1="${margin}" x2="${right}" y1="${y(goal)}" y2="${y(goal)}" stroke="#c33" stroke-dasharray="5 4"/>
<text x="${right + 4}" y="${y(goal)}" fill="#c33">${goal}</text>`;
  return `<text x="${margin}" y="${top - 8}">${title}: at most ${Number(Math.max(...values).toFixed(3))}</text>
<rect x="${margin}" y="${top}" width="${right - margin}" height="${panelHeight}" fill="none" stroke="#ccc"/>
<polyline points="${line}" fill="none" stroke="#36c" stroke-width="1.5"/>
${goalLine}`;
}
