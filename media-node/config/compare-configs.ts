import type { HttpPorts, OriginRule, PublishersConfig, ServerConfig, VhostConfig } from "./server-config.ts";

/** What is new in a configuration, in words for an operator. */
export interface ConfigDifference {
  /** Follows at once: `2 rules of "default" added`. Empty when both say the same. */
  readonly changes: readonly string[];
  /** Elements that differ and are read at the start only. */
  readonly needRestart: readonly string[];
}

/** Elements that open sockets or name the node: what runs cannot take another value for them. */
const readAtStart: readonly (readonly [path: string, read: (config: ServerConfig) => unknown])[] = [
  ["Server/IP", ({ ips }) => ips],
  ["Server/Bind/Publishers/OVT", ({ bind }) => [bind.ovtPort, bind.ovtSrtPort]],
  ["Server/Bind/Publishers/LLHLS", ({ bind }) => bind.llhls],
  ["Server/Bind/Publishers/HLS", ({ bind }) => bind.hls],
  ["Server/Bind/Publishers/WebRTC", ({ bind }) => bind.webrtc],
  ["Server/Bind/Managers/API", ({ bind }) => bind.api],
  ["Server/Modules", ({ modules }) => modules],
  ["Server/StunServer", ({ stunServer }) => stunServer],
  ["Server/Hearth/Node/Id", ({ hearth }) => hearth.nodeId],
  ["Server/Hearth/Node/PublicUrl", ({ hearth }) => hearth.publicUrl],
  ["Server/Hearth/Node/Region", ({ hearth }) => hearth.region],
  ["Server/Hearth/AdvertisedAddresses", ({ hearth }) => hearth.advertisedAddresses],
  ["Server/Hearth/OvtLink", ({ hearth: { ovtLink } }) => ovtLink && [ovtLink.requireToken, ovtLink.requireTls]],
  ["Server/Hearth/OvtDataToAll", ({ hearth }) => hearth.ovtDataToAll],
  ["Server/Hearth/Ffmpeg", ({ hearth }) => hearth.ffmpeg],
  ["Server/Hearth/Prewarm", ({ hearth }) => hearth.prewarm],
  ["Server/Hearth/OperatorPort", ({ hearth }) => [hearth.operatorPort, hearth.operatorAddress]],
];

const vhostPath = "Server/VirtualHosts/VirtualHost";
const publishersPath = `${vhostPath}/Applications/Application/Publishers`;

/**
 * Elements with whose first appearance a door would open: doors are opened at the start. Those that come later, and those
 * that go, are followed.
 */
const openedAtStart: readonly (readonly [path: string, hasDoor: (config: ServerConfig) => boolean])[] = [
  [`${publishersPath}/WebRTC`, (config) => isOpen(config.bind.webrtc.signalling) && hasPublisher(config, "webrtc")],
  [`${publishersPath}/LLHLS`, (config) => isOpen(config.bind.llhls) && hasPublisher(config, "llhls")],
  [`${publishersPath}/HLS`, (config) => isOpen(config.bind.hls ?? config.bind.llhls) && hasPublisher(config, "hls")],
  [`${vhostPath}/Host/TLS`, ({ bind, vhosts }) => hasTlsPort(bind) && vhosts.some(({ tls }) => tls)],
];

const isOpen = ({ port, tlsPort }: HttpPorts): boolean => (port ?? tlsPort) !== undefined;
const hasPublisher = ({ vhosts }: ServerConfig, publisher: keyof PublishersConfig): boolean =>
  vhosts.some(({ applications }) => applications.some(({ publishers }) => publishers[publisher]));
const hasTlsPort = ({ llhls, hls, webrtc }: ServerConfig["bind"]): boolean =>
  [llhls, hls, webrtc.signalling].some((ports) => ports?.tlsPort !== undefined);

/**
 * What becomes of a reload.
 * @param started the configuration the node was started with: what is read at the start is still of it
 * @param before in force until now
 */
export function compareConfigs(started: ServerConfig, before: ServerConfig, next: ServerConfig): ConfigDifference {
  const needRestart = [
    ...readAtStart.filter(([, read]) => !isSame(read(started), read(next))),
    ...openedAtStart.filter(([, hasDoor]) => hasDoor(next) && !hasDoor(started)),
  ].map(([path]) => path);
  const changes = [...compareVhosts(before.vhosts, next.vhosts)];
  const rest = (config: ServerConfig): unknown => ({ ...config, vhosts: [] });
  if (!isSame(rest(before), rest(next))) changes.push("settings of the server changed");
  return { changes, needRestart };
}

function compareVhosts(before: readonly VhostConfig[], next: readonly VhostConfig[]): string[] {
  const former = new Map(before.map((vhost) => [vhost.name, vhost]));
  const names = new Set(next.map(({ name }) => name));
  const changes = before.filter(({ name }) => !names.has(name)).map(({ name }) => `virtual host "${name}" removed`);
  for (const vhost of next) {
    const was = former.get(vhost.name);
    if (!was) changes.push(`virtual host "${vhost.name}" added`);
    else changes.push(...compareVhost(was, vhost));
  }
  const order = (vhosts: readonly VhostConfig[]): string[] => vhosts.map(({ name }) => name);
  if (changes.length === 0 && !isSame(order(before), order(next))) changes.push("virtual hosts in another order");
  return changes;
}

function compareVhost(before: VhostConfig, next: VhostConfig): string[] {
  const rest = ({ origins, ...others }: VhostConfig): unknown => [others, origins.properties];
  return [
    ...compareRules(next.name, before.origins.rules, next.origins.rules),
    ...(isSame(rest(before), rest(next)) ? [] : [`settings of virtual host "${next.name}" changed`]),
  ];
}

function compareRules(vhost: string, before: readonly OriginRule[], next: readonly OriginRule[]): string[] {
  const former = countedRules(before);
  const now = countedRules(next);
  let added = 0;
  let changed = 0;
  for (const [key, rule] of now) {
    const was = former.get(key);
    if (was === undefined) added++;
    else if (was !== rule) changed++;
  }
  const removed = [...former.keys()].filter((key) => !now.has(key)).length;
  const parts = Object.entries({ added, changed, removed }).filter(([, count]) => count > 0);
  const isMoved = parts.length === 0 && !isSame(before, next);
  return [
    ...parts.map(([what, count]) => `${count} rule${count === 1 ? "" : "s"} of "${vhost}" ${what}`),
    ...(isMoved ? [`rules of "${vhost}" in another order`] : []),
  ];
}

/** Rules as text by location; the second of the same location has a key of its own. */
function countedRules(rules: readonly OriginRule[]): Map<string, string> {
  const seen = new Map<string, number>();
  return new Map(
    rules.map((rule) => {
      const place = `${rule.isStrict ? "=" : "^"}${rule.location}`;
      const count = seen.get(place) ?? 0;
      seen.set(place, count + 1);
      return [`${count} ${place}`, JSON.stringify(rule)];
    }),
  );
}

/** Configurations are made by one function, so that equal ones have equal texts. */
function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
