import { StoreUnavailable, type ClusterStore } from "./cluster/store/contract.ts";
import { findApplication } from "./config/find-application.ts";
import { planFromMap, planFromStore } from "./config/plan-pull.ts";
import type { ApplicationConfig, OriginRule, ServerConfig, VhostConfig } from "./config/server-config.ts";
import type { NoPullPlan, PullPlan } from "./core/pull-plan.ts";
import type { PlanPull } from "./core/stream-hub.ts";
import type { StreamName } from "./core/stream-name.ts";
import type { Clock } from "./time/clock.ts";

/** The application as declared, or as it would be made from the template `*`. */
export function applicationFor(vhost: VhostConfig, app: string): ApplicationConfig | undefined {
  // Most have the name that is written down, and every request of a viewer asks.
  for (const application of vhost.applications) {
    if (application.name === app && !application.isTemplate) return application;
  }
  const choice = findApplication(vhost, app);
  return choice.kind === "application" ? choice.application : undefined;
}

/**
 * Says where a stream is pulled from: the first rule of the OriginMap that fits; the OriginMapStore where the map yields
 * nothing, or nothing that works. Asked again on every attempt, so that a reloaded file and a moved origin are found.
 * @param configNow the configuration in force
 * @param storeOf the store of a virtual host; undefined when it has none
 * @param start of this node: while it has not reached its store, who asks is kept waiting, until `closing`
 */
export function planPulls(
  configNow: () => ServerConfig,
  storeOf: (vhost: string) => ClusterStore | undefined,
  start: { readonly clock: Clock; readonly closing: AbortSignal },
): PlanPull {
  const firstAnswers = new FirstAnswers(start);
  return async (name, request) => {
    const config = configNow();
    const vhost = config.vhosts.find((candidate) => candidate.name === name.vhost);
    if (!vhost) return notFound(`there is no virtual host "${name.vhost}"`);
    const map = planFromMap(config, name, request.rawQuery ?? "");
    // An origin that is asked for its own stream by a peer does not look for it elsewhere: that would go in circles.
    const store = request.protocol === "ovt" ? undefined : storeOf(vhost.name);
    const askStoreNow = (noRule: string) =>
      firstAnswers.wait(store, () => askStore(config, vhost, name, store, noRule));
    if (map.kind !== "urls") return askStoreNow(map.reason);
    const plan = planOf(config, vhost, map.urls, "rule", map.rule);
    return store ? { ...plan, otherwise: () => askStoreNow("no Url of the rule works") } : plan;
  };
}

/** As long as viewers wait for a first answer. */
const startMs = 8_000;
const againMs = 250;

/** A store that has never answered since the node started may still be on the way to being connected. */
class FirstAnswers {
  readonly #clock: Clock;
  readonly #closing: AbortSignal;
  readonly #untilMs: number;
  readonly #answered = new WeakSet<ClusterStore>();

  constructor({ clock, closing }: Parameters<typeof planPulls>[2]) {
    this.#clock = clock;
    this.#closing = closing;
    this.#untilMs = clock.nowMs() + startMs;
  }

  /** Asks again and again until the store has answered, once in a node's life and no longer than it takes to start. */
  async wait(
    store: ClusterStore | undefined,
    ask: () => Promise<PullPlan | NoPullPlan>,
  ): Promise<PullPlan | NoPullPlan> {
    for (;;) {
      const plan = await ask();
      if (!store) return plan;
      if (!("kind" in plan) || plan.kind !== "unavailable") this.#answered.add(store);
      if (this.#answered.has(store) || this.#clock.nowMs() >= this.#untilMs || this.#closing.aborted) return plan;
      await new Promise<void>((resolve) => void this.#clock.after(againMs, resolve));
    }
  }
}

async function askStore(
  config: ServerConfig,
  vhost: VhostConfig,
  name: StreamName,
  store: ClusterStore | undefined,
  noRule: string,
): Promise<PullPlan | NoPullPlan> {
  if (!store) return notFound(noRule);
  try {
    const plan = planFromStore(config, name, await store.lookup(name));
    if (plan.kind === "urls") return planOf(config, vhost, plan.urls, "store");
    return { ...notFound(`${noRule}, and ${plan.reason}`), wasLookedUp: true };
  } catch (thrown) {
    if (!(thrown instanceof StoreUnavailable)) throw thrown;
    return { kind: "unavailable", reason: `the OriginMapStore does not answer: ${thrown.message}` };
  }
}

function planOf(
  config: ServerConfig,
  vhost: VhostConfig,
  urls: readonly string[],
  from: PullPlan["from"],
  rule?: OriginRule,
): PullPlan {
  const { properties } = vhost.origins;
  return {
    urls,
    from,
    noInputTimeoutMs: properties.noInputFailoverTimeoutMs,
    unusedTimeoutMs: properties.unusedStreamDeletionTimeoutMs,
    graceMs: config.hearth.graceTimeoutMs,
    ...(properties.retryCount !== undefined && { retryCount: properties.retryCount }),
    isPersistent: rule?.isPersistent ?? false,
    hasFailback: rule?.hasFailback ?? false,
    failbackIntervalMs: properties.streamFailbackTimeoutMs,
    ignoresSourceClock: rule?.ignoresSenderReports ?? false,
  };
}

function notFound(reason: string): NoPullPlan {
  return { kind: "not-found", reason };
}
