import { SettingError } from "../flow/errors.ts";

/** User name and password, percent-decoded. Never logged. */
export interface RtspCredentials {
  readonly user: string;
  readonly password: string;
}

/** An `rtsp:` or `rtsps:` URL taken apart without being rewritten: servers compare it byte by byte. */
export interface RtspUrl {
  readonly isSecure: boolean;
  /** Lower case; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** Path and query as written, `""` when there is none. */
  readonly path: string;
  readonly credentials: RtspCredentials | undefined;
  /** The URL without credentials: what request lines carry. */
  readonly requestUri: string;
}

const defaultPort = { rtsp: 554, rtsps: 322 };

/** @throws {SettingError} when it is no RTSP URL, or could break out of a request line */
export function parseRtspUrl(url: string): RtspUrl {
  const match = /^(rtsps?):\/\/(?:([^/?#]*)@)?(\[[0-9a-f:.]+\]|[^:/?#@[\]]+)(?::(\d{1,5}))?([/?][^#]*)?(?:#.*)?$/i.exec(
    url,
  );
  // Control characters and blanks would end the request line early.
  if (!match || /[\0-\x20\x7f]/.test(url)) throw new SettingError("this is no rtsp:// URL with a host");
  const [, scheme = "", userInfo, host = "", portText, path = ""] = match;
  const isSecure = scheme.toLowerCase() === "rtsps";
  const port = portText === undefined ? defaultPort[isSecure ? "rtsps" : "rtsp"] : Number(portText);
  if (port < 1 || port > 65_535) throw new SettingError(`port ${port} does not exist`);
  return {
    isSecure,
    host: host.replace(/^\[|\]$/g, "").toLowerCase(),
    port,
    path,
    credentials: userInfo === undefined ? undefined : parseUserInfo(userInfo),
    requestUri: `${scheme.toLowerCase()}://${host}${portText === undefined ? "" : `:${portText}`}${path}`,
  };
}

/** How media is asked for; see `RtspPullSettings.transport`. */
export type RtspTransportChoice = "auto" | "tcp" | "udp";

/**
 * Takes `transport=tcp`, `udp` or `auto` out of a URL's query: the rule's word to us, not the server's. Any other value
 * stays, since servers have such parameters of their own.
 */
export function takeTransport(url: string): { readonly url: string; readonly transport?: RtspTransportChoice } {
  const mark = url.indexOf("?");
  if (mark < 0) return { url };
  const parameters = url.slice(mark + 1).split("&");
  const at = parameters.findIndex((parameter) => /^transport=(auto|tcp|udp)$/i.test(parameter));
  if (at < 0) return { url };
  const transport = parameters[at]!.slice("transport=".length).toLowerCase() as RtspTransportChoice;
  const rest = parameters.toSpliced(at, 1).join("&");
  return { url: rest === "" ? url.slice(0, mark) : `${url.slice(0, mark)}?${rest}`, transport };
}

function parseUserInfo(userInfo: string): RtspCredentials {
  const colon = userInfo.indexOf(":");
  const user = colon < 0 ? userInfo : userInfo.slice(0, colon);
  return { user: decode(user), password: colon < 0 ? "" : decode(userInfo.slice(colon + 1)) };
}

/** A stray `%` in a password stays what it is. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The URI control attributes are relative to (RFC 2326 C.1.1): Content-Base, else Content-Location, else the request.
 * The authority is always ours, since cameras behind an address translation write addresses nobody can reach.
 */
export function controlBaseOf(url: RtspUrl, contentBase: string | undefined, contentLocation?: string): string {
  for (const candidate of [contentBase, contentLocation]) {
    const base = candidate?.trim();
    if (base && isRtspUri(base)) return withAuthorityOf(url, base);
  }
  return url.requestUri;
}

/**
 * Resolves a control attribute as servers mean it, which is by joining text and not by RFC 3986: the base may end in a
 * query, and `trackID=1` is put behind it all the same.
 */
export function resolveControl(url: RtspUrl, base: string, control: string | undefined): string {
  const text = control?.trim();
  if (!text || text === "*") return base;
  if (isRtspUri(text)) return withAuthorityOf(url, text);
  if (text.startsWith("?") || base.endsWith("/") !== text.startsWith("/")) return base + text;
  return base.endsWith("/") ? base + text.slice(1) : `${base}/${text}`;
}

function isRtspUri(text: string): boolean {
  return /^rtsps?:\/\/[^\0-\x20\x7f]*$/i.test(text);
}

function withAuthorityOf(url: RtspUrl, uri: string): string {
  const authority = url.requestUri.slice(0, url.requestUri.length - url.path.length);
  return authority + uri.replace(/^rtsps?:\/\/[^/?]*/i, "");
}

/**
 * Where a redirect leads, or undefined when it may not be followed: another host than the one the rule names, or from
 * TLS to plain text. Credentials go along only because the host is the same.
 */
export function followRedirect(from: RtspUrl, location: string): RtspUrl | undefined {
  let to: RtspUrl;
  try {
    to = parseRtspUrl(location.trim());
  } catch {
    return undefined;
  }
  if (to.host !== from.host || (from.isSecure && !to.isSecure)) return undefined;
  return { ...to, credentials: from.credentials };
}
