/** What happened to all pulls of a node since it began; only grows. Shared by reference, read by `/metrics`. */
export class PullCounters {
  /** URLs tried, by what came of it; probes are not among them. */
  readonly tries = { opened: 0, unknown: 0, failed: 0 };
  /** Cheap questions whether the first URL works again. */
  readonly probes = { answered: 0, failed: 0 };
  /** Sources lost, by cause. */
  readonly losses = { silent: 0, ended: 0 };
  /** Lost sources replaced by another URL. */
  failovers = 0;
  /** Lost sources that came back at the same URL. */
  resumptions = 0;
  /** Returns to the first URL. */
  failbacks = 0;
  /** Second sources that were opened and not needed, or not good enough. */
  standDowns = 0;
  /** Streams whose viewers were sent away because no source came back. */
  givenUp = 0;
  /** Time without a source, of outages that are over. */
  outageMs = 0;
  /** Requests for new streams that were not tried, by cause. */
  readonly refusals = { remembered: 0, busy: 0, client: 0 };
}
