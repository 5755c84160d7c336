import { serializeSdp, type SdpAttribute, type SdpMedia } from "./session-description.ts";

/** One codec as our description lists it. */
export interface LocalCodec {
  readonly payloadType: number;
  /** `H264`, `OPUS`, … */
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels?: number | undefined;
  /** `""` = no `a=fmtp` line. */
  readonly fmtp: string;
  readonly feedback: readonly string[];
  readonly rtxPayloadType?: number | undefined;
}

/** One `m=` section of ours that carries media to the viewer. */
export interface LocalMedia {
  readonly kind: "video" | "audio";
  readonly mid: string;
  /** Best first. */
  readonly codecs: readonly LocalCodec[];
  readonly ssrc: number;
  readonly rtxSsrc?: number | undefined;
  /** The second word of `a=msid`. */
  readonly trackId: string;
  /** RTP header extensions by their number in this section. */
  readonly extensions?: readonly { readonly id: number; readonly uri: string }[];
}

/** A section of the peer's offer that we decline (RFC 8829 §5.3.1): same kind, port 0, outside the BUNDLE group. */
export interface DeclinedMedia {
  readonly declined: true;
  readonly kind: string;
  readonly mid: string;
  readonly protocol: string;
  readonly formats: readonly string[];
}

/** Our side of a WebRTC session: ICE-lite, one bundled transport, sending only. */
export interface LocalDescription {
  readonly type: "offer" | "answer";
  /** 63 bits, unique for each session. */
  readonly sessionId: bigint;
  readonly iceUfrag: string;
  readonly icePwd: string;
  /** `sha-256 AA:BB:…` */
  readonly fingerprint: string;
  /** First word of `a=msid`, equal for all sections so that players keep sound and picture together. */
  readonly streamId: string;
  readonly cname: string;
  readonly media: readonly (LocalMedia | DeclinedMedia)[];
  /** Values of `a=candidate`, best first; written only into answers, where nothing can follow later. */
  readonly candidates: readonly string[];
}

/** The description as text. */
export function serializeLocalDescription(local: LocalDescription): string {
  const mids = local.media.flatMap((media) => ("declined" in media ? [] : [media.mid])).join(" ");
  return serializeSdp({
    origin: `- ${local.sessionId} 1 IN IP4 0.0.0.0`,
    name: "-",
    attributes: [
      attribute("group", `BUNDLE ${mids}`),
      attribute("group", `LS ${mids}`),
      attribute("ice-lite"),
      ...(local.type === "offer" ? [attribute("ice-options", "trickle")] : []),
      attribute("extmap-allow-mixed"),
      attribute("msid-semantic", `WMS ${local.streamId}`),
      attribute("fingerprint", local.fingerprint),
      attribute("ice-ufrag", local.iceUfrag),
      attribute("ice-pwd", local.icePwd),
    ],
    media: local.media.map((media, index) =>
      "declined" in media ? declinedSection(media) : sendingSection(local, media, index),
    ),
  });
}

function sendingSection(local: LocalDescription, media: LocalMedia, index: number): SdpMedia {
  const isFirst = local.media.findIndex((other) => !("declined" in other)) === index;
  return {
    kind: media.kind,
    port: 9,
    protocol: "UDP/TLS/RTP/SAVPF",
    formats: media.codecs.flatMap(({ payloadType, rtxPayloadType }) =>
      rtxPayloadType === undefined ? [`${payloadType}`] : [`${payloadType}`, `${rtxPayloadType}`],
    ),
    connection: "IN IP4 0.0.0.0",
    attributes: [
      attribute("mid", media.mid),
      attribute("sendonly"),
      attribute("setup", local.type === "offer" ? "actpass" : "passive"),
      attribute("rtcp-mux"),
      attribute("rtcp-rsize"),
      attribute("msid", `${local.streamId} ${media.trackId}`),
      ...(media.extensions ?? []).map(({ id, uri }) => attribute("extmap", `${id} ${uri}`)),
      ...media.codecs.flatMap(codecAttributes),
      ...ssrcAttributes(local, media),
      ...(local.type === "answer" && isFirst ? candidateAttributes(local.candidates) : []),
    ],
  };
}

function declinedSection({ kind, mid, protocol, formats }: DeclinedMedia): SdpMedia {
  return {
    kind,
    port: 0,
    protocol,
    formats,
    connection: "IN IP4 0.0.0.0",
    attributes: [attribute("mid", mid), attribute("inactive")],
  };
}

function codecAttributes(codec: LocalCodec): SdpAttribute[] {
  const { payloadType, rtxPayloadType } = codec;
  const channels = codec.channels === undefined ? "" : `/${codec.channels}`;
  const lines = [attribute("rtpmap", `${payloadType} ${codec.encoding}/${codec.clockRate}${channels}`)];
  if (codec.fmtp) lines.push(attribute("fmtp", `${payloadType} ${codec.fmtp}`));
  lines.push(...codec.feedback.map((feedback) => attribute("rtcp-fb", `${payloadType} ${feedback}`)));
  if (rtxPayloadType === undefined) return lines;
  return [
    ...lines,
    attribute("rtpmap", `${rtxPayloadType} rtx/${codec.clockRate}`),
    attribute("fmtp", `${rtxPayloadType} apt=${payloadType}`),
  ];
}

function ssrcAttributes({ cname, streamId }: LocalDescription, { ssrc, rtxSsrc, trackId }: LocalMedia): SdpAttribute[] {
  const ofOne = (value: number): SdpAttribute[] => [
    attribute("ssrc", `${value} cname:${cname}`),
    attribute("ssrc", `${value} msid:${streamId} ${trackId}`),
  ];
  if (rtxSsrc === undefined) return ofOne(ssrc);
  return [attribute("ssrc-group", `FID ${ssrc} ${rtxSsrc}`), ...ofOne(ssrc), ...ofOne(rtxSsrc)];
}

function candidateAttributes(candidates: readonly string[]): SdpAttribute[] {
  return [...candidates.map((candidate) => attribute("candidate", candidate)), attribute("end-of-candidates")];
}

function attribute(key: string, value?: string): SdpAttribute {
  return { key, value };
}

/** What `a=candidate:` and `RTCIceCandidateInit.candidate` say of a host candidate (RFC 8839 §5.1, RFC 6544 §4.5). */
export function candidateValue(candidate: {
  readonly foundation: string;
  readonly protocol: "udp" | "tcp";
  readonly priority: number;
  readonly address: string;
  readonly port: number;
}): string {
  const { foundation, protocol, priority, address, port } = candidate;
  const kind = protocol === "tcp" ? "typ host tcptype passive" : "typ host";
  return `${foundation} 1 ${protocol.toUpperCase()} ${priority} ${address} ${port} ${kind}`;
}
