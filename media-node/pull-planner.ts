import { buildUrls } from "./cluster/origin-map/build-urls.ts";
import { matchRule } from "./cluster/origin-map/match-rule.ts";
import { nameProblem } from "./cluster/origin-map/split-path.ts";
import { StoreUnavailable, type ClusterStore } from "./cluster/store/contract.ts";
import type { ApplicationConfig, ProviderName, ServerConfig, VhostConfig } from "./config/server-config.ts";
import type { PullPlan } from "./core/pull.ts";
import type { PlanPull } from "./core/stream-hub.ts";
import type { StreamName } from "./core/stream-name.ts";

/** The application as declared, or the template `*` from which it would be made. */
export function applicationFor(vhost: VhostConfig, app: string): ApplicationConfig | undefined {
  return (
    vhost.applications.find(({ name, isTemplate }) => !isTemplate && name === app) ??
    vhost.applications.find(({ isTemplate }) => isTemplate)
  );
}

/**
 * Says where a stream is pulled from: the first rule of the OriginMap that fits; the OriginMapStore where none does.
 * Asked again on every attempt, so that a reloaded file and a moved origin are found.
 * @param storeOf the store of a virtual host; undefined when it has none
 */
export function planPulls(config: ServerConfig, storeOf: (vhost: string) => ClusterStore | undefined): PlanPull {
  return async (name, request) => {
    const vhost = config.vhosts.find((candidate) => candidate.name === name.vhost);
    if (!vhost) return notFound(`there is no virtual host "${name.vhost}"`);
    const problem = nameProblem("app", name.app) ?? nameProblem("stream", name.stream);
    if (problem) return notFound(problem);
    const application = applicationFor(vhost, name.app);
    if (!application) return notFound(`there is no application "${name.app}", and no template to make it from`);
    const match = matchRule(vhost, name.app, name.stream, config.hearth.locationMatching);
    if (match.kind === "rule") {
      const { rule } = match;
      const built = buildUrls(rule, name.app, name.stream, request.rawQuery ?? "");
      const urls = built.flatMap(({ url, refused }) => (refused === undefined ? [url] : []));
      const usable = urls.filter((url) => isProvided(application, url));
      if (usable.length > 0) return planOf(config, vhost, usable, "rule", rule.isPersistent);
      const why = built.find(({ refused }) => refused !== undefined)?.refused;
      return notFound(why ?? `the application "${name.app}" may not pull by ${rule.scheme}`);
    }
    // An origin that is asked for its own stream by a peer does not look for it elsewhere: that would go in circles.
    if (request.protocol === "ovt") return notFound(match.reason);
    return planFromStore(config, vhost, application, name, storeOf(vhost.name), match.reason);
  };
}

async function planFromStore(
  config: ServerConfig,
  vhost: VhostConfig,
  application: ApplicationConfig,
  name: StreamName,
  store: ClusterStore | undefined,
  noRule: string,
): ReturnType<PlanPull> {
  if (!store) return notFound(noRule);
  try {
    const urls = (await store.lookup(name)).filter((url) => isProvided(application, url));
    if (urls.length > 0) return planOf(config, vhost, urls, "store", false);
    return notFound(`${noRule}, and no origin has registered it`);
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
  isPersistent: boolean,
): PullPlan {
  const { properties } = vhost.origins;
  return {
    urls,
    from,
    noInputTimeoutMs: properties.noInputFailoverTimeoutMs,
    unusedTimeoutMs: properties.unusedStreamDeletionTimeoutMs,
    graceMs: config.hearth.graceTimeoutMs,
    retryCount: properties.retryCount ?? 1,
    isPersistent,
  };
}

const providerOf: Readonly<Record<string, ProviderName | "always">> = { ovt: "ovt", rtsp: "rtsp", file: "always" };

function isProvided({ providers }: ApplicationConfig, url: string): boolean {
  const provider = providerOf[url.slice(0, url.indexOf(":")).toLowerCase()];
  return provider === "always" || (provider !== undefined && providers.includes(provider));
}

function notFound(reason: string): { kind: "not-found"; reason: string } {
  return { kind: "not-found", reason };
}
