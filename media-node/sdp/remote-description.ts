import { ProtocolError } from "../flow/errors.ts";
import {
  attributeOf,
  attributesOf,
  formatsOf,
  parseFormatParameters,
  parseSdp,
  rtpMapsOf,
  type SdpMedia,
  type SessionDescription,
} from "./session-description.ts";

/** One codec of an `m=` section, with the payload type that repeats its lost packets. */
export interface RtpCodec {
  readonly payloadType: number;
  /** As written; compare case-insensitively. */
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number | undefined;
  /** `a=fmtp`, keys lower-cased. */
  readonly parameters: ReadonlyMap<string, string>;
  /** `a=fmtp` as written after the payload type, `""` when absent: what an answer echoes. */
  readonly fmtp: string;
  /** `nack`, `nack pli`, `ccm fir`, `goog-remb`, … */
  readonly feedback: readonly string[];
  /** RFC 4588, found through `apt=`. */
  readonly rtxPayloadType: number | undefined;
}

/** One `m=` section of a WebRTC peer's description. */
export interface RemoteMedia {
  readonly kind: string;
  readonly protocol: string;
  readonly formats: readonly string[];
  readonly mid: string;
  /** Port 0 without `a=bundle-only` (RFC 9143 §6). */
  readonly isRejected: boolean;
  readonly wantsToReceive: boolean;
  readonly hasRtcpMux: boolean;
  /** Media codecs in the peer's order, without rtx, red and fec. */
  readonly codecs: readonly RtpCodec[];
  /** Numbers of RTP header extensions by their URI (RFC 8285 §5). */
  readonly extensions: ReadonlyMap<string, number>;
}

/** What a WebRTC peer's offer or answer says (RFC 8829), reduced to what a sender of media needs. */
export interface RemoteDescription {
  /** `sha-256 AA:BB:…`, each once, algorithm in lower and value in upper case. */
  readonly fingerprints: readonly string[];
  /**
   * ICE credentials (RFC 8839 §5.4) of the first section that has them, else of the session: bundled sections share
   * them. Both undefined when one is missing or cannot be a credential.
   */
  readonly iceUfrag: string | undefined;
  readonly icePwd: string | undefined;
  /** Of the first section that has one, else of the session. */
  readonly setup: "actpass" | "active" | "passive";
  /** mids of the BUNDLE group; empty when the peer does not bundle. */
  readonly bundle: readonly string[];
  readonly media: readonly RemoteMedia[];
}

/** There are 128 payload types, and a handful of words of feedback for each. */
const maxFormats = 128;
const maxFeedback = 1_024;

/** Codecs that protect or repeat others. */
const helpers = new Set(["rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn"]);

/** @throws {ProtocolError} when it is no SDP, or lacks what every WebRTC description has */
export function parseRemoteDescription(text: string): RemoteDescription {
  const sdp = parseSdp(text);
  if (sdp.media.length === 0) throw new ProtocolError("SDP_NO_MEDIA", "the description has no media section");
  const fingerprints = [sdp, ...sdp.media].flatMap((owner) => attributesOf(owner, "fingerprint")).map(normalize);
  if (fingerprints.length === 0) throw new ProtocolError("SDP_NO_FINGERPRINT", "the description has no fingerprint");
  return {
    fingerprints: [...new Set(fingerprints)],
    ...credentialsOf(sdp),
    setup: setupOf(sdp),
    bundle: bundleOf(sdp),
    media: sdp.media.map((media, index) => parseMedia(sdp, media, index)),
  };
}

function normalize(fingerprint: string): string {
  const match = /^\s*([A-Za-z0-9-]{3,16})\s+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,63})\s*$/.exec(fingerprint);
  if (!match) throw new ProtocolError("SDP_FINGERPRINT", "unreadable fingerprint");
  return `${match[1]!.toLowerCase()} ${match[2]!.toUpperCase()}`;
}

/** Both from one place: a section's ufrag with the session's password belongs to no agent. */
function credentialsOf(sdp: SessionDescription): Pick<RemoteDescription, "iceUfrag" | "icePwd"> {
  for (const owner of [...sdp.media, sdp]) {
    const iceUfrag = attributeOf(owner, "ice-ufrag");
    const icePwd = attributeOf(owner, "ice-pwd");
    if (isIceText(iceUfrag, 4) && isIceText(icePwd, 22)) return { iceUfrag, icePwd };
  }
  return { iceUfrag: undefined, icePwd: undefined };
}

function isIceText(value: string | undefined, least: number): value is string {
  return value !== undefined && value.length >= least && /^[A-Za-z0-9+/]{1,256}$/.test(value);
}

function setupOf(sdp: SessionDescription): RemoteDescription["setup"] {
  const setup = [...sdp.media, sdp].map((owner) => attributeOf(owner, "setup")).find((value) => value !== undefined);
  if (setup === undefined || setup === "actpass") return "actpass";
  if (setup === "active" || setup === "passive") return setup;
  throw new ProtocolError("SDP_SETUP", `unknown setup role "${setup.slice(0, 20)}"`);
}

function bundleOf(sdp: SessionDescription): string[] {
  const group = attributesOf(sdp, "group").find((value) => value.startsWith("BUNDLE"));
  return group ? group.split(/\s+/).slice(1).filter(Boolean) : [];
}

function parseMedia(sdp: SessionDescription, media: SdpMedia, index: number): RemoteMedia {
  const direction = directionOf(media) ?? directionOf(sdp) ?? "sendrecv";
  const isBundleOnly = attributeOf(media, "bundle-only") !== undefined;
  return {
    kind: media.kind,
    protocol: media.protocol,
    formats: media.formats,
    mid: attributeOf(media, "mid") ?? String(index),
    isRejected: media.port === 0 && !isBundleOnly,
    wantsToReceive: direction === "recvonly" || direction === "sendrecv",
    hasRtcpMux: attributeOf(media, "rtcp-mux") !== undefined || attributeOf(media, "rtcp-mux-only") !== undefined,
    codecs: codecsOf(media),
    extensions: extensionsOf(media),
  };
}

function directionOf(owner: Pick<SdpMedia, "attributes">): string | undefined {
  return ["sendrecv", "recvonly", "sendonly", "inactive"].find((key) => attributeOf(owner, key) !== undefined);
}

/** `a=extmap:ID[/direction] URI [attributes]`; 15 has no meaning in the one-byte form, 0 and what exceeds a byte in none. */
function extensionsOf(media: SdpMedia): ReadonlyMap<string, number> {
  const extensions = new Map<string, number>();
  for (const value of attributesOf(media, "extmap")) {
    const match = /^(\d{1,3})(?:\/\w+)?\s+(\S+)/.exec(value);
    const id = Number(match?.[1]);
    if (match && id > 0 && id < 256 && id !== 15) extensions.set(match[2]!, id);
  }
  return extensions;
}

/** Payload types every peer knows without an rtpmap (RFC 3551 §6). */
const staticCodecs = new Map([
  [0, "PCMU"],
  [8, "PCMA"],
]);

function codecsOf(media: SdpMedia): RtpCodec[] {
  const maps = new Map(rtpMapsOf(media).map((map) => [map.payloadType, map]));
  const fmtps = formatsOf(media);
  const feedback = feedbackOf(media);
  const rtxOf = new Map<number, number>();
  for (const { payloadType, encoding } of maps.values()) {
    if (encoding.toLowerCase() !== "rtx") continue;
    const apt = Number.parseInt(parseFormatParameters(fmtps.get(payloadType) ?? "").get("apt") ?? "", 10);
    if (Number.isInteger(apt)) rtxOf.set(apt, payloadType);
  }
  return media.formats.slice(0, maxFormats).flatMap((format) => {
    const payloadType = Number(format);
    const map = maps.get(payloadType);
    const encoding = map?.encoding ?? staticCodecs.get(payloadType);
    if (encoding === undefined || payloadType > 127 || helpers.has(encoding.toLowerCase())) return [];
    const fmtp = fmtps.get(payloadType) ?? "";
    return [
      {
        payloadType,
        encoding,
        clockRate: map?.clockRate ?? 8_000,
        channels: map?.channels,
        parameters: parseFormatParameters(fmtp),
        fmtp,
        feedback: feedback.flatMap(([type, value]) => (type === "*" || Number(type) === payloadType ? [value] : [])),
        rtxPayloadType: rtxOf.get(payloadType),
      },
    ];
  });
}

/** Every `a=rtcp-fb` with the payload type it is for, or `*`. */
function feedbackOf(media: SdpMedia): [payloadType: string, value: string][] {
  const found: [string, string][] = [];
  for (const { key, value = "" } of media.attributes) {
    const match = key === "rtcp-fb" && found.length < maxFeedback ? /^(\*|\d{1,3})\s+(.+)$/.exec(value) : undefined;
    if (match) found.push([match[1]!, match[2]!.trim()]);
  }
  return found;
}
