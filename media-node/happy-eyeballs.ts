import type { LookupAddress } from "node:dns";
import type { Socket } from "node:net";
import { sleep } from "./time/sleep.ts";
import type { Clock } from "./time/clock.ts";

/** RFC 8305 §5: the next address is tried when this much has passed without a connection. */
const attemptDelayMs = 250;

export interface RaceOptions {
  readonly clock: Clock;
  /** Ends every attempt. */
  readonly signal: AbortSignal;
  /** Begins to connect; the socket is the race's until it wins. */
  readonly connect: (address: string) => Socket;
}

/**
 * Connects to whichever address of a name answers first (RFC 8305): one after the other, families in turn, the next one
 * early when one fails, and none is given up because another is slow.
 * @param addresses in the resolver's order; at least one
 * @throws the first address's error when all fail
 */
export async function raceAddresses(addresses: readonly LookupAddress[], options: RaceOptions): Promise<Socket> {
  const { clock, signal, connect } = options;
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const attempts: Promise<Socket>[] = [];
  for (const { address } of inTurn(addresses)) {
    if (ends.aborted) break;
    const attempt = connected(connect(address), ends);
    attempts.push(attempt);
    const failed = new AbortController();
    attempt.then(
      () => over.abort(),
      () => failed.abort(),
    );
    await sleep(clock, attemptDelayMs, AbortSignal.any([ends, failed.signal]));
  }
  try {
    return await Promise.any(attempts);
  } catch (thrown) {
    throw thrown instanceof AggregateError ? thrown.errors[0] : thrown;
  }
}

/** RFC 8305 §4: the resolver's first family, then the families in turn. */
export function inTurn(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const other = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const count = Math.max(first.length, other.length);
  return Array.from({ length: count }, (_, index) => [first[index], other[index]])
    .flat()
    .filter((address) => address !== undefined);
}

/** The socket once it is connected; destroyed when `signal` ends the race before. */
function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      socket.destroy();
      reject(new Error("another address was faster"));
    };
    const onError = (error: Error): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(error);
    };
    // Stays: what comes of a socket that lost has nobody else to hear it.
    socket.once("error", onError);
    socket.once("connect", () => {
      if (signal.aborted) return;
      signal.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      resolve(socket);
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
