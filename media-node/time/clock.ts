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

/** The machine's clock. Its timers do not keep the process alive by themselves. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, fire) {
    running++;
    let isRunning = true;
    const handle = setTimeout(() => {
      isRunning = false;
      running--;
      fire();
    }, delayMs);
    handle.unref();
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

/** Timers of the platform hold 31 bits of milliseconds; a day is far within and lets a clock that was set be noticed. */
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
