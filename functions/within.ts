/**
 * What `work` resolves with, or `undefined` when that takes longer than `ms` or fails. The work is not aborted: for an
 * upgrade, an abort signal would outlive the handshake and end the socket. What comes too late goes to `discard`.
 */
export async function within<T>(ms: number, work: Promise<T>, discard: (late: T) => void): Promise<T | undefined> {
  const { promise: expired, resolve: expire } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => expire(undefined), ms);
  let isLate = false;
  const outcome = work.then(
    (value) => {
      if (isLate) discard(value);
      return value;
    },
    () => undefined,
  );
  try {
    return await Promise.race([outcome, expired]);
  } finally {
    isLate = true;
    clearTimeout(timer);
  }
}

/** A node answers an upgrade at once; only its first offer may take seconds. */
export const upgradeTimeoutMs = 4_000;
