// The fault table of docs/failover.md: what happens, what OvenMediaEngine 0.20 does (measured), what Hearth promises.
// `node test/support/failover-rows.ts` prints it.

export interface FailoverRow {
  readonly event: string;
  readonly rule: string;
  readonly ome: string;
  readonly hearth: string;
}

export const failoverRows = {
  refused: {
    event: "first request, connection refused",
    rule: "1 Url",
    ome: "2 tries within 5 ms, then 404",
    hearth: "2 tries, a second apart; found if it is up by then, else 503 with `Retry-After`",
  },
  hungUp: {
    event: "first request, closed as soon as it is accepted",
    rule: "1 Url",
    ome: "2 tries within 5 ms, then 404",
    hearth: "as above",
  },
  refusedTwice: {
    event: "first request, connection refused",
    rule: "2 Urls",
    ome: "tries first, second, first, then 404",
    hearth: "the same order, the third try a second later, then 503",
  },
  unknown: {
    event: "first request, the origin has no such stream",
    rule: "1 Url",
    ome: "2 tries, then 404; the next request does it again",
    hearth: "1 try, then 404, remembered for a second",
  },
  silent: {
    event: "first request, accepted and never answered",
    rule: "1 Url",
    ome: "tries at 0 and 1.5 s, 404 at 3.0 s",
    hearth: "2 tries of at most 6 s; a request is held for 8 s, then 503",
  },
  silentFour: {
    event: "the same, 4 viewers at once",
    rule: "1 Url",
    ome: "404 after 3.0, 6.0, 9.1 and 12.1 s, 8 connects",
    hearth: "one answer for all after one series, 2 connects",
  },
  silentFirst: {
    event: "first request, the first origin never answers",
    rule: "2 Urls",
    ome: "second Url after 1.5 s",
    hearth: "second Url after at most 6 s, within the time a request is held",
  },
  rtspSilent: {
    event: "first request, an RTSP server accepts and never answers",
    rule: "1 Url",
    ome: "3 s for each reply",
    hearth: "2 tries of at most 6 s",
  },
  killed: {
    event: "origin killed",
    rule: "1 Url",
    ome: "stream deleted after 0.35 s, also with Persistent",
    hearth: "viewers are kept for `GraceTimeout` (30 s); asked once a second at first, every 3 s at most",
  },
  killedOfTwo: {
    event: "origin killed",
    rule: "2 Urls",
    ome: "second Url after 0.07 s",
    hearth: "second Url at once, no frame missing where both send the same",
  },
  killedAndBack: {
    event: "origin killed, back later",
    rule: "1 Url, RetryCount 100",
    ome: "resumes on its return (9.9 s for 10 s)",
    hearth: "resumes within 3 s of its return, the same stream and viewers",
  },
  noRetries: {
    event: "origin killed",
    rule: "1 Url, RetryCount 0",
    ome: "ends at once",
    hearth: "ends at once",
  },
  gone: {
    event: "origin killed, never back",
    rule: "1 Url",
    ome: "stream deleted after 0.35 s",
    hearth: "ends after `GraceTimeout`; the next request pulls anew",
  },
  closed: {
    event: "connection closed in good order",
    rule: "2 Urls",
    ome: "second Url at the next tick (0.1 s)",
    hearth: "second Url at once",
  },
  reset: {
    event: "connection reset",
    rule: "2 Urls",
    ome: "second Url at the next tick (0.1 s)",
    hearth: "second Url at once",
  },
  frozen: {
    event: "origin frozen",
    rule: "1 Url",
    ome: "left after 3.0 s, stream deleted after 6.3 s",
    hearth: "left after `NoInputFailoverTimeout`; viewers are kept and resume when it thaws",
  },
  frozenOfTwo: {
    event: "origin frozen",
    rule: "2 Urls",
    ome: "second Url after 3.15 s, opened then",
    hearth: "second Url after `NoInputFailoverTimeout`, opened at half of it and playing by then",
  },
  frozenPersistent: {
    event: "origin frozen",
    rule: "2 Urls, Persistent",
    ome: "nothing happens while it is frozen",
    hearth: "as without Persistent",
  },
  dropped: {
    event: "every packet lost on the way",
    rule: "2 Urls",
    ome: "second Url after 3.15 s",
    hearth: "second Url after `NoInputFailoverTimeout`",
  },
  trickled: {
    event: "origin sends 1 byte a second",
    rule: "2 Urls",
    ome: "not measured; bytes count as input",
    hearth: "second Url after `NoInputFailoverTimeout`: media counts, not bytes",
  },
  delayed: {
    event: "the path becomes 200 ms longer",
    rule: "2 Urls",
    ome: "not measured",
    hearth: "nothing is lost, no failover",
  },
  failback: {
    event: "first origin is back",
    rule: "2 Urls, Failback",
    ome: "back within a probe interval, break before make, gap 45 ms",
    hearth: "back after two intervals at most and a key frame, make before break, no frame missing",
  },
  unused: {
    event: "nobody watches",
    rule: "UnusedStreamDeletionTimeout",
    ome: "deleted when no byte was sent for that time, also under a viewer of a silent stream",
    hearth: "let go when nobody has watched for that time",
  },
} as const satisfies Record<string, FailoverRow>;

/** The rows as Markdown. */
export function failoverTable(): string {
  const head = ["what happens", "rule", "OvenMediaEngine 0.20", "Hearth"];
  const rows = Object.values(failoverRows).map(({ event, rule, ome, hearth }) => [event, rule, ome, hearth]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`;
  return [line(head), `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...rows.map(line)].join("\n");
}

if (import.meta.main) console.log(failoverTable());
