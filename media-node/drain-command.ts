import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { NobodyAnswers, OperatorsDoor } from "./ask-node.ts";
import { SettingError } from "./flow/errors.ts";

/** What a node says of its drain at `/-/drain`. */
interface DrainReport {
  readonly state: string;
  readonly viewers: number;
  readonly leftMs?: number;
}

const lookEveryMs = 250;
/** A node closes its sockets and exits within this time after its drain. */
const exitMs = 5_000;

/**
 * `hearth drain --config Server.xml [--no-wait] [--json]`: has the node on this machine move its viewers to others and exit,
 * as SIGTERM does, by its operators' port; returns when the node is gone. May be called again while it drains.
 * @returns what to print and the exit code: 0 when nobody was left, or with `--no-wait` when the drain began; 1 when the node
 *   went, or should have gone, with viewers
 * @throws {SettingError} when the node cannot be asked
 */
export async function runDrain(args: string[]): Promise<{ readonly output: string; readonly exitCode: number }> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string" },
      port: { type: "string" },
      "no-wait": { type: "boolean" },
      json: { type: "boolean" },
    },
  });
  const door = new OperatorsDoor("drain", values);
  const began = (await (await door.ask("POST", "/-/drain", [202])).json()) as DrainReport;
  if (values["no-wait"]) {
    const left = `Draining. Viewers: ${began.viewers}, which have ${Math.ceil((began.leftMs ?? 0) / 1_000)} s to move.`;
    return { output: values.json ? json(began) : `${left}\n`, exitCode: 0 };
  }
  const end = await untilGone(door, began);
  const output = values.json ? json({ viewers: began.viewers, ...end }) : `${sentenceOf(began, end)}\n`;
  return { output, exitCode: end.isGone && end.left === 0 ? 0 : 1 };
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

interface DrainEnd {
  readonly isGone: boolean;
  /** Viewers that it had when its time was over; they lost it. */
  readonly left: number;
}

/** Looks until nobody answers any more, or the node has outstayed its time. */
async function untilGone(door: OperatorsDoor, began: DrainReport): Promise<DrainEnd> {
  const deadlineMs = performance.now() + (began.leftMs ?? 0) + exitMs;
  let last = began;
  let lastMs = performance.now();
  while (performance.now() < deadlineMs) {
    await sleep(lookEveryMs);
    try {
      last = (await (await door.ask("GET", "/-/drain", [200])).json()) as DrainReport;
      lastMs = performance.now();
    } catch (thrown) {
      if (thrown instanceof SettingError && !(thrown instanceof NobodyAnswers)) throw thrown;
      // A node that goes before its time goes because the last viewer went, however recently somebody was counted.
      const isEarly = (last.leftMs ?? 0) > performance.now() - lastMs;
      return { isGone: true, left: isEarly ? 0 : last.viewers };
    }
  }
  return { isGone: false, left: last.viewers };
}

function sentenceOf({ viewers }: DrainReport, { isGone, left }: DrainEnd): string {
  if (!isGone) return `The node still runs after its time. Viewers left: ${left}. Look at its log.`;
  const moved = `The node is gone. Viewers when it began: ${viewers}, at its end: ${left}.`;
  return left === 0 ? moved : `${moved} A longer Hearth/DrainTimeout in Server.xml gives them more time.`;
}
