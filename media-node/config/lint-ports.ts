import type { LintInput } from "./lint.ts";
import type { Place } from "./schema.ts";

interface Listener {
  readonly number: number;
  readonly at: Place;
  /** Listeners of one kind share a port; `undefined` shares with nobody. */
  readonly kind: "http" | "https" | undefined;
}

/** Ports that exclude each other, doors to nothing, and delivery without a door. */
export function lintPorts(input: LintInput): void {
  const seen = new Map<number, Listener>();
  for (const listener of listenersOf(input)) {
    const other = seen.get(listener.number);
    if (listener.number !== 0 && other && (other.kind === undefined || other.kind !== listener.kind)) {
      const message = `Port ${listener.number} is taken by ${other.at.path}.`;
      input.fail(listener.at, "port-conflict", message, "Choose another; only HTTP doors of one kind share a port.");
    }
    if (!other) seen.set(listener.number, listener);
  }
  lintDoors(input);
  lintCertificates(input);
}

function listenersOf({ value }: LintInput): Listener[] {
  const publishers = value.Bind?.Publishers;
  const ovt = publishers?.OVT;
  const listeners: Listener[] = [];
  if (ovt?.Port && ovt.Port.protocol === "tcp") {
    listeners.push({ number: ovt.Port.number, at: ovt.$.child("Port"), kind: undefined });
  }
  for (const group of [publishers?.LLHLS, publishers?.HLS, publishers?.WebRTC?.Signalling, value.Bind?.Managers?.API]) {
    // The API is another server: it shares no port with viewers.
    const isApi = group === value.Bind?.Managers?.API;
    if (group?.Port) {
      listeners.push({ number: group.Port.number, at: group.$.child("Port"), kind: isApi ? undefined : "http" });
    }
    if (group?.TLSPort) {
      listeners.push({ number: group.TLSPort.number, at: group.$.child("TLSPort"), kind: isApi ? undefined : "https" });
    }
  }
  const operator = value.Hearth?.OperatorPort;
  if (operator) listeners.push({ number: operator.number, at: value.Hearth.$.child("OperatorPort"), kind: undefined });
  return listeners;
}

function lintDoors({ value, config, warn }: LintInput): void {
  const { bind } = config;
  const at = value.$.child("Bind");
  const applications = config.vhosts.flatMap((vhost) => vhost.applications);
  const isOpen = ({ port, tlsPort }: { port?: number; tlsPort?: number }): boolean => (port ?? tlsPort) !== undefined;
  if (applications.some(({ publishers }) => publishers.llhls) && !isOpen(bind.llhls)) {
    warn(at, "no-door", "LL-HLS is published, but no port is bound for it.", "Add Bind/Publishers/LLHLS/Port.");
  }
  if (applications.some(({ publishers }) => publishers.hls) && !isOpen(bind.hls ?? bind.llhls)) {
    warn(at, "no-door", "HLS is published, but no port is bound for it.", "Add Bind/Publishers/HLS/Port.");
  }
  if (applications.some(({ publishers }) => publishers.webrtc) && !isOpen(bind.webrtc.signalling)) {
    warn(
      at,
      "no-door",
      "WebRTC is published, but no port is bound for it.",
      "Add Bind/Publishers/WebRTC/Signalling/Port.",
    );
  }
  if (
    applications.some(({ publishers }) => publishers.ovt) &&
    bind.ovtPort === undefined &&
    bind.ovtSrtPort === undefined
  ) {
    warn(at, "no-door", "OVT is published, but no port is bound for it.", "Add Bind/Publishers/OVT/Port.");
  }
  if (bind.ovtSrtPort !== undefined) {
    const port = value.Bind!.Publishers!.OVT!.$.child("Port");
    warn(port, "not-followed", "OVT over SRT is understood, but not served.", "Write the port without /srt.");
  }
  const wantsTls =
    bind.llhls.tlsPort !== undefined || bind.hls?.tlsPort !== undefined || bind.webrtc.signalling.tlsPort !== undefined;
  if (wantsTls && !config.vhosts.some(({ tls }) => tls)) {
    warn(at, "no-certificate", "A TLSPort is bound, but no virtual host has a certificate.", "Add Host/TLS.");
  }
  for (const [index, address] of value.IP.entries()) {
    if (address === "*" || address === "::" || /^[\d.]+$/.test(address) || /^[\da-f:.]+$/i.test(address)) continue;
    const message = `"${address}" is not an address to bind to.`;
    warn(value.$.item("IP", index), "bad-value", message, "Write *, :: or an address of this machine.");
  }
}

/** OvenMediaEngine's own files name certificates that nobody has yet: a virtual host without any goes without TLS. */
function lintCertificates({ value, config, hasFile, warn }: LintInput): void {
  const { llhls, hls, webrtc } = config.bind;
  if ([llhls, hls, webrtc.signalling].every((door) => door?.tlsPort === undefined)) return;
  for (const [index, { name, tls }] of config.vhosts.entries()) {
    if (!tls) continue;
    const { certPath, keyPath } = tls;
    const missing = [certPath, keyPath].filter((path) => !hasFile(path));
    if (missing.length === 0) continue;
    const what = missing.length === 2 ? `virtual host "${name}" goes without TLS` : "the node does not start";
    const at = value.VirtualHosts!.VirtualHost[index]!.Host!.TLS!.$;
    warn(at, "no-certificate", `${missing.join(" and ")} cannot be found: ${what}.`, "Put the files there.");
  }
}
