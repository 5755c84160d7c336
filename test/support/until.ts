/**
 * Asks `probe` again and again until it gives something truthy.
 * @throws Error with `what` and the last answer when `withinMs` is over
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
      throw new Error(
        `${what}: not within ${withinMs} ms; last: ${last instanceof Error ? `${last.message} ${last.cause instanceof Error ? last.cause.message : ""}` : JSON.stringify(last)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
