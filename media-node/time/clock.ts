/** A running timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * The only way a room learns the time or waits. Shells hand in {@link systemClock}; tests hand in a {@link ManualClock}.
 */
export interface Clock {
  /** Milliseconds on a clock that never jumps; its zero is arbitrary. For intervals and deadlines. */
  nowMs(): number;
  /** Unix time in milliseconds. May jump; only for what people and peers read. */
  wallMs(): number;
  /** Calls `fire` once, `delayMs` from now or a little later. */
  after(delayMs: number, fire: () => void): Timer;
}

let running = 0;

/** Timers of {@link systemClock} in this thread that neither fired nor were cancelled: what soaks watch. */
export const runningTimers = (): number => running;

/** The platform holds a delay in 31 bits, and fires at once what does not fit: a time-out of years would be none. */
const longestTimeoutMs = 2 ** 31 - 1;

/** The machine's clock. Its timers do not keep the process alive by themselves. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, fire) {
    running++;
    let isRunning = true;
    const done = (): void => {
      isRunning = false;
      running--;
      fire();
    };
    let handle = wait(delayMs);
    function wait(leftMs: number): NodeJS.Timeout {
      if (!(leftMs > longestTimeoutMs)) return setTimeout(done, leftMs).unref();
      return setTimeout(() => (handle = wait(leftMs - longestTimeoutMs)), longestTimeoutMs).unref();
    }
    return {
      cancel() {
        if (!isRunning) return;
        isRunning = false;
        running--;
        clearTimeout(handle);
      },
    };
  },
};

/** So that a wall clock that was set is noticed. */
const longestWaitMs = 86_400_000;

/** Calls `fire` once, when the wall clock shows `wallMs` or later: at once for a time that is past. */
export function atWallTime(clock: Clock, wallMs: number, fire: () => void): Timer {
  const next = (): Timer => {
    const leftMs = wallMs - clock.wallMs();
    return clock.after(Math.min(longestWaitMs, Math.max(0, leftMs)), leftMs > longestWaitMs ? again : fire);
  };
  const again = (): void => void (timer = next());
  let timer = next();
  return { cancel: () => timer.cancel() };
}

/** Calls `tick` every `periodMs` until cancelled; a slow tick delays the next, they never overlap. */
export function every(clock: Clock, periodMs: number, tick: () => void): Timer {
  let isCancelled = false;
  let timer = clock.after(periodMs, run);
  function run(): void {
    tick();
    if (!isCancelled) timer = clock.after(periodMs, run);
  }
  return {
    cancel() {
      isCancelled = true;
      timer.cancel();
    },
  };
}
