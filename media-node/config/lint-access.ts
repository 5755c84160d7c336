import type { VhostValue } from "./build-config.ts";
import { isAddressOrNetwork } from "./ip-network.ts";
import type { LintInput } from "./lint.ts";
import type { Place } from "./schema.ts";

/** Secrets that are none, doors that stand open, and guards that guard nothing. */
export function lintAccess(input: LintInput): void {
  for (const vhost of input.value.VirtualHosts?.VirtualHost ?? []) {
    lintPolicy(vhost, input);
    lintWebhooks(vhost, input);
    lintRedis(vhost, input);
  }
  lintApi(input);
  lintHearth(input);
}

function lintPolicy(vhost: VhostValue, input: LintInput): void {
  const policy = vhost.SignedPolicy;
  if (!policy) return;
  lintSecret(policy, "SecretKey", "OvenMediaEngine lets anybody sign, Hearth refuses every viewer", input);
  for (const name of ["PolicyQueryKeyName", "SignatureQueryKeyName"] as const) {
    if (policy[name] === "") {
      input.warn(policy.$.child(name), "empty", `${name} is empty: no request can carry it.`, "Name the query key.");
    }
  }
  lintCoverage(policy, input);
}

function lintWebhooks(vhost: VhostValue, input: LintInput): void {
  const webhooks = vhost.AdmissionWebhooks;
  if (!webhooks) return;
  lintSecret(webhooks, "SecretKey", "The control server cannot tell who asks", input);
  lintCoverage(webhooks, input);
  const url = webhooks.ControlServerUrl;
  const at = webhooks.$.child("ControlServerUrl");
  if (!/^https?:\/\/[^\s/]+/i.test(url)) {
    input.warn(at, "bad-url", `"${url}" cannot be asked: every viewer is refused.`, "Write http://… or https://….");
  } else if (/^http:/i.test(url) && !isLocal(/^http:\/\/([^/?#]*)/i.exec(url)![1]!)) {
    input.warn(at, "insecure", "Viewers' data goes to the control server in clear text.", "Use https.");
  }
}

function lintSecret(
  value: { readonly SecretKey: string; readonly $: Place },
  name: "SecretKey",
  consequence: string,
  { warn }: LintInput,
): void {
  // A missing element is reported where it is read.
  if (value[name] === "" && value.$.has(name)) {
    warn(
      value.$.child(name),
      "empty-secret",
      `${name} is empty. ${consequence}.`,
      "Set it, for example as ${env:NAME}.",
    );
  }
}

function lintCoverage(
  value: {
    readonly Enables: { readonly Publishers: readonly string[]; readonly $: Place } | undefined;
    readonly $: Place;
  },
  { warn }: LintInput,
): void {
  const publishers = value.Enables?.Publishers ?? [];
  const at = value.Enables ? value.Enables.$.child("Publishers") : value.$.child("Enables");
  if (publishers.length === 0) {
    warn(
      at,
      "covers-nothing",
      "No publisher is covered: everybody may watch.",
      "Write Enables/Publishers: webrtc,llhls.",
    );
  }
  const known = ["webrtc", "llhls", "hlsv3", "thumbnail", "srt", "ovt"];
  for (const name of publishers.filter((name) => !known.includes(name)).slice(0, 16)) {
    warn(at, "unknown-publisher", `"${name}" is no publisher.`, "Write webrtc and llhls.");
  }
}

function lintRedis(vhost: VhostValue, { warn }: LintInput): void {
  const redis = vhost.OriginMapStore?.RedisServer;
  if (!redis?.Host || redis.Auth || isLocal(redis.Host.host)) return;
  const message = "Whoever reaches this Redis server can send viewers anywhere: there is no password.";
  warn(redis.$.child("Auth"), "insecure", message, "Set Auth, or REDIS_URL with TLS, and keep the server private.");
}

function lintApi({ value, config, warn }: LintInput): void {
  const api = value.Bind?.Managers?.API;
  if (!api || (config.bind.api.port === undefined && config.bind.api.tlsPort === undefined)) return;
  if (config.managers.accessToken === undefined) {
    const message = "The API has no AccessToken: it will refuse every call.";
    const at = value.Managers?.API ? value.Managers.API.$.child("AccessToken") : value.$.child("Managers");
    warn(at, "empty-secret", message, "Set Managers/API/AccessToken, for example as ${env:NAME}.");
  }
  if (config.bind.api.port !== undefined && !config.ips.every(isLocal)) {
    warn(
      api.$.child("Port"),
      "insecure",
      "The AccessToken travels in clear text.",
      "Use TLSPort, or bind to 127.0.0.1.",
    );
  }
}

function lintHearth({ value, config, warn, fail }: LintInput): void {
  const hearth = value.Hearth;
  if (!hearth) return;
  const url = hearth.Node?.PublicUrl;
  if (url && !/^https?:\/\/(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?\/*$/i.test(url)) {
    const message = `"${url}" is not http://host[:port] or https://host[:port].`;
    fail(
      hearth.Node.$.child("PublicUrl"),
      "bad-url",
      message,
      "Viewers are redirected to it: write scheme, host and port only.",
    );
  }
  const id = hearth.Node?.Id;
  if (id !== undefined && !/^[\w.-]{1,64}$/.test(id)) {
    const remedy = "Use up to 64 letters, digits, dots, hyphens and underscores.";
    fail(hearth.Node!.$.child("Id"), "bad-value", `"${id}" cannot be a node's name.`, remedy);
  }
  for (const [index, address] of (hearth.AdvertisedAddresses?.Address ?? []).entries()) {
    if (/^[\d.]+$|^[\da-f:.]+$/i.test(address) && /[.:]/.test(address)) continue;
    const at = hearth.AdvertisedAddresses!.$.item("Address", index);
    fail(at, "bad-value", `"${address}" is not an IP address.`, "Write the address that viewers reach, without port.");
  }
  lintTrustedPeers(hearth, fail, warn);
  lintProxies(hearth, fail, warn);
  const names = new Set(config.vhosts.map(({ name }) => name));
  for (const [index, stream] of (hearth.Prewarm?.Stream ?? []).entries()) {
    const parts = stream.trim().split("/");
    const isKnown = parts.length === 2 || (parts.length === 3 && names.has(parts[0]!));
    if (isKnown && parts.every((part) => part !== "")) continue;
    const at = hearth.Prewarm!.$.item("Stream", index);
    warn(at, "unknown-stream", `"${stream}" names no stream of this file.`, "Write app/stream, or vhost/app/stream.");
  }
}

function lintTrustedPeers(
  { OvtLink: link }: NonNullable<LintInput["value"]["Hearth"]>,
  fail: LintInput["fail"],
  warn: LintInput["warn"],
): void {
  for (const [index, peer] of (link?.TrustedPeers?.Peer ?? []).entries()) {
    const at = link!.TrustedPeers!.$.item("Peer", index);
    if (!isAddressOrNetwork(peer.trim())) {
      fail(at, "bad-value", `"${peer}" is neither an IP address nor a network.`, "Write 192.0.2.7 or 10.0.0.0/8.");
    } else if (/\/0+$/.test(peer.trim())) {
      warn(at, "insecure", "The network is everybody: streams are handed out without a token.", "Name the peers.");
    }
  }
}

function lintProxies(
  { TrustedProxies: proxies, OperatorAddress: address, $ }: NonNullable<LintInput["value"]["Hearth"]>,
  fail: LintInput["fail"],
  warn: LintInput["warn"],
): void {
  for (const [index, proxy] of (proxies?.Proxy ?? []).entries()) {
    const at = proxies!.$.item("Proxy", index);
    if (!isAddressOrNetwork(proxy.trim())) {
      fail(at, "bad-value", `"${proxy}" is neither an IP address nor a network.`, "Write 192.0.2.7 or 10.0.0.0/8.");
    } else if (/\/0+$/.test(proxy.trim())) {
      warn(at, "insecure", "Everybody is a trusted proxy: viewers say who they are.", "Name the proxies.");
    }
  }
  if (!isAddressOrNetwork(address) || address.includes("/")) {
    fail($.child("OperatorAddress"), "bad-value", `"${address}" is not an IP address.`, "Write 127.0.0.1 or 0.0.0.0.");
  } else if (!isLocal(address)) {
    const message = "The operators' port is open to others: the node starts with HEARTH_OPERATOR_TOKEN only.";
    warn($.child("OperatorAddress"), "insecure", message, "Set the variable, and keep the port within your network.");
  }
}

/** Reached from this machine only. */
function isLocal(host: string): boolean {
  return /^(?:localhost|127\.[\d.]+|::1|\[::1\])(?::\d+)?$/i.test(host);
}
