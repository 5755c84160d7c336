/** Why nothing can be pulled: there is no such stream, or it may exist and cannot be had now. */
export interface NoPullPlan {
  readonly kind: "not-found" | "unavailable";
  readonly reason: string;
  /** A registry had to be asked, which is a cost to who asks for nonsense. */
  readonly wasLookedUp?: boolean;
}

/** Where a stream may be pulled from, and how patiently. */
export interface PullPlan {
  /** Complete URLs in order of preference, at least one. */
  readonly urls: readonly string[];
  /** What named them, for `explain` and logs. */
  readonly from: "rule" | "store" | "api";
  /** Silence (no media) after which the next URL is tried. */
  readonly noInputTimeoutMs: number;
  /** The pull ends after this time without a viewer. */
  readonly unusedTimeoutMs: number;
  /** How long viewers are kept while every URL fails, where `retryCount` does not say. */
  readonly graceMs: number;
  /**
   * Rounds over the URL list. The first success is given up after so many rounds and one try more (absent: 1); a stream
   * that is lost ends after as many, at 0 at once (absent: after `graceMs`).
   */
  readonly retryCount?: number;
  /** Never ended as unused, and retried for ever. */
  readonly isPersistent: boolean;
  /** Back to the first URL when it works again. */
  readonly hasFailback?: boolean;
  /** Time between probes of the first URL. */
  readonly failbackIntervalMs?: number;
  /** Handed to the opener. */
  readonly ignoresSourceClock?: boolean;
  /** Other URLs, asked for when a round over `urls` has failed: the registry behind a rule. */
  readonly otherwise?: () => Promise<PullPlan | NoPullPlan>;
}
