import { ProtocolError } from "../flow/errors.ts";

/** One `a=` line: `key` before the first colon, `value` after it; undefined for a flag. */
export interface SdpAttribute {
  readonly key: string;
  readonly value: string | undefined;
}

/** One `m=` section. */
export interface SdpMedia {
  readonly kind: string;
  readonly port: number;
  readonly protocol: string;
  /** Payload types, or other format tokens, as written. */
  readonly formats: readonly string[];
  /** `c=` value, e.g. `IN IP4 0.0.0.0`. */
  readonly connection?: string;
  readonly attributes: readonly SdpAttribute[];
}

/** A session description (RFC 8866), reduced to what RTSP and WebRTC peers use. */
export interface SessionDescription {
  /** `o=` value. */
  readonly origin: string;
  readonly name: string;
  readonly connection?: string;
  readonly attributes: readonly SdpAttribute[];
  readonly media: readonly SdpMedia[];
}

/** Enough for any real description, small enough that none can hurt. */
const maxLength = 64 * 1024;
const maxMedia = 64;
const maxAttributes = 4_096;

/**
 * Parses leniently: LF or CRLF, unknown line types skipped, a missing `s=` or `t=` tolerated, as cameras need it.
 * @throws {ProtocolError} when it is no SDP at all or larger than any real one
 */
export function parseSdp(text: string): SessionDescription {
  if (text.length > maxLength) throw new ProtocolError("SDP_TOO_LARGE", `an SDP of more than ${maxLength} characters`);
  const session = { origin: "", name: "", attributes: [] as SdpAttribute[], media: [] as SdpMedia[] };
  let connection: string | undefined;
  let media: (SdpMedia & { attributes: SdpAttribute[]; connection?: string }) | undefined;
  let attributeCount = 0;
  let hasVersion = false;
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line[1] !== "=") continue;
    const value = line.slice(2).trim();
    if (line[0] === "v") hasVersion = true;
    else if (line[0] === "o") session.origin = value;
    else if (line[0] === "s") session.name = value;
    else if (line[0] === "c") {
      if (media) media.connection = value;
      else connection = value;
    } else if (line[0] === "m") {
      if (session.media.length >= maxMedia) throw new ProtocolError("SDP_TOO_MANY", "too many media sections");
      media = parseMediaLine(value);
      session.media.push(media);
    } else if (line[0] === "a") {
      if (++attributeCount > maxAttributes) throw new ProtocolError("SDP_TOO_MANY", "too many attributes");
      (media ?? session).attributes.push(parseAttribute(value));
    }
  }
  if (!hasVersion && session.media.length === 0) throw new ProtocolError("SDP_EMPTY", "this is no session description");
  return connection === undefined ? session : { ...session, connection };
}

function parseMediaLine(value: string): SdpMedia & { attributes: SdpAttribute[] } {
  const [kind = "", port = "", protocol = "", ...formats] = value.split(/\s+/);
  const portNumber = Number.parseInt(port, 10);
  if (!kind || !protocol || !Number.isInteger(portNumber) || portNumber < 0 || portNumber > 65_535) {
    throw new ProtocolError("SDP_MEDIA", `unreadable media line: m=${value.slice(0, 80)}`);
  }
  return { kind, port: portNumber, protocol, formats, attributes: [] };
}

function parseAttribute(value: string): SdpAttribute {
  const colon = value.indexOf(":");
  return colon < 0 ? { key: value, value: undefined } : { key: value.slice(0, colon), value: value.slice(colon + 1) };
}

/** Inverse of {@link parseSdp}, with CRLF line ends and the lines in RFC 8866's order. */
export function serializeSdp(sdp: SessionDescription): string {
  const lines = ["v=0", `o=${sdp.origin}`, `s=${sdp.name || "-"}`];
  if (sdp.connection !== undefined) lines.push(`c=${sdp.connection}`);
  lines.push("t=0 0", ...sdp.attributes.map(attributeLine));
  for (const media of sdp.media) {
    lines.push(`m=${media.kind} ${media.port} ${media.protocol} ${media.formats.join(" ")}`);
    if (media.connection !== undefined) lines.push(`c=${media.connection}`);
    lines.push(...media.attributes.map(attributeLine));
  }
  return `${lines.join("\r\n")}\r\n`;
}

function attributeLine({ key, value }: SdpAttribute): string {
  return value === undefined ? `a=${key}` : `a=${key}:${value}`;
}

/** First value of an attribute; `""` for a flag that is present, undefined when absent. */
export function attributeOf(owner: { readonly attributes: readonly SdpAttribute[] }, key: string): string | undefined {
  const found = owner.attributes.find((attribute) => attribute.key === key);
  return found && (found.value ?? "");
}

/** All values of a repeated attribute. */
export function attributesOf(owner: { readonly attributes: readonly SdpAttribute[] }, key: string): string[] {
  return owner.attributes.filter((attribute) => attribute.key === key).map((attribute) => attribute.value ?? "");
}

/** `a=rtpmap:{payloadType} {encoding}/{clockRate}[/{channels}]` */
export interface RtpMap {
  readonly payloadType: number;
  /** As written; compare case-insensitively. */
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number | undefined;
}

export function rtpMapsOf(media: SdpMedia): RtpMap[] {
  return attributesOf(media, "rtpmap").flatMap((value) => {
    const match = /^(\d{1,3})\s+([^/\s]+)\/(\d{1,9})(?:\/(\d{1,3}))?/.exec(value);
    if (!match) return [];
    const [, payloadType, encoding, clockRate, channels] = match;
    return [
      {
        payloadType: Number(payloadType),
        encoding: encoding!,
        clockRate: Number(clockRate),
        channels: channels === undefined ? undefined : Number(channels),
      },
    ];
  });
}

/** Format parameters of a payload type, keys lower-cased, values as written (never coerced to numbers). */
export function formatParametersOf(media: SdpMedia, payloadType: number): Map<string, string> {
  return parseFormatParameters(formatsOf(media).get(payloadType) ?? "");
}

/** Every `a=fmtp` by its payload type, as written behind it; of several the first. */
export function formatsOf(media: SdpMedia): Map<number, string> {
  const formats = new Map<number, string>();
  for (const { key, value = "" } of media.attributes) {
    if (key !== "fmtp") continue;
    const payloadType = Number.parseInt(value, 10);
    if (!formats.has(payloadType)) formats.set(payloadType, value.replace(/^\d+\s*/, ""));
  }
  return formats;
}

/** As {@link formatParametersOf}, of what stands behind the payload type. */
export function parseFormatParameters(text: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const item of text.split(";")) {
    const equals = item.indexOf("=");
    const key = (equals < 0 ? item : item.slice(0, equals)).trim().toLowerCase();
    if (key) parameters.set(key, equals < 0 ? "" : item.slice(equals + 1).trim());
  }
  return parameters;
}
