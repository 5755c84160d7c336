import { inspect } from "node:util";

/**
 * Asks `probe` again and again until it gives something truthy.
 * @throws Error with `what` and the last answer, or what the probe threw last, when `withinMs` is over
 */
export async function until<T>(what: string, withinMs: number, probe: () => Promise<T> | T): Promise<NonNullable<T>> {
  const deadlineMs = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer) return answer;
      last = answer;
    } catch (thrown) {
      last = thrown;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`${what}: not within ${withinMs} ms; last: ${told(last)}`, { cause: last });
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** An error by its own words and those of what caused it: of an assertion, with its difference. */
function told(last: unknown): string {
  if (!(last instanceof Error)) return inspect(last, { breakLength: Infinity });
  return `${last.message}${last.cause instanceof Error ? ` (${told(last.cause)})` : ""}`;
}
