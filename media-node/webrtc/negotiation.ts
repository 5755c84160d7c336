import type { Codec } from "../codecs/codec.ts";
import { parseHvcConfig } from "../codecs/h265.ts";
import type { Track } from "../core/track.ts";
import { ProtocolError } from "../flow/errors.ts";
import { playoutDelayUri } from "../rtp/playout-delay.ts";
import { acceptMedia, type AcceptedMedia } from "../sdp/codec-choice.ts";
import { av1Fmtp, formatOf, h265Fmtp, understoodFeedback, vp9Fmtp } from "../sdp/codec-formats.ts";
import {
  candidateValue,
  serializeLocalDescription,
  type DeclinedMedia,
  type LocalCodec,
  type LocalMedia,
} from "../sdp/local-description.ts";
import type { RemoteDescription, RemoteMedia, RtpCodec } from "../sdp/remote-description.ts";
import type { BitstreamProfile } from "./bitstream-profile.ts";
import type { WebRtcConfig } from "./config.ts";
import type { IceCredentials } from "./media-port.ts";
import { randomSsrc, randomToken, type RandomBytes } from "./random.ts";
import type { PlayablePlaylist } from "./renditions.ts";
import type { SenderFormat } from "./track-sender.ts";
import type { PortFacts } from "./viewer-place.ts";

/** What we put into every description of one session. */
interface Identity {
  readonly streamId: string;
  readonly cname: string;
  readonly sessionId: bigint;
}

/** A section of our own offer, with the numbers that stay whatever codec the viewer takes. */
interface OfferedSection {
  readonly kind: "video" | "audio";
  readonly codecs: readonly Codec[];
  readonly media: LocalMedia;
}

/** An offer of ours, and what is needed to understand the answer. */
export interface LocalOffer {
  readonly sdp: string;
  readonly cname: string;
  readonly sections: readonly OfferedSection[];
}

/** What both sides agreed on. */
export interface Negotiated {
  readonly cname: string;
  readonly formats: readonly SenderFormat[];
}

export interface NegotiationOptions {
  readonly port: PortFacts;
  readonly random: RandomBytes;
  readonly config: Pick<WebRtcConfig, "rtx" | "playoutDelay">;
}

/** Its number in our offers, OvenMediaEngine's. */
const playoutDelayId = 2;

/** Offers every codec of the playlist's renditions, the first rendition's first. */
export function createOffer(peer: IceCredentials, playlist: PlayablePlaylist, options: NegotiationOptions): LocalOffer {
  const identity = createIdentity(options.random);
  const sections = (["video", "audio"] as const).flatMap((kind) => offeredSection(kind, playlist, options));
  const sdp = serializeLocalDescription({
    type: "offer",
    ...identity,
    iceUfrag: peer.iceUfrag,
    icePwd: peer.icePwd,
    fingerprint: options.port.fingerprint,
    media: sections.map(({ media }) => media),
    candidates: [],
  });
  return { sdp, cname: identity.cname, sections };
}

function offeredSection(
  kind: "video" | "audio",
  playlist: PlayablePlaylist,
  { random, config: { rtx, playoutDelay } }: NegotiationOptions,
): OfferedSection[] {
  const tracks = playlist.renditions.flatMap((rendition) => rendition[kind] ?? []);
  const firsts = tracks.filter((track, i) => tracks.findIndex(({ codec }) => codec === track.codec) === i);
  if (firsts.length === 0) return [];
  const hasRtx = rtx && kind === "video";
  const media = {
    kind,
    mid: kind,
    codecs: firsts.flatMap((track) => withRtx(localFormat(track, playlist.profiles[track.codec]), hasRtx)),
    ssrc: randomSsrc(random),
    rtxSsrc: hasRtx ? randomSsrc(random) : undefined,
    trackId: randomToken(random, 12),
    extensions: playoutDelay && kind === "video" ? [{ id: playoutDelayId, uri: playoutDelayUri }] : [],
  };
  return [{ kind, codecs: firsts.map(({ codec }) => codec), media }];
}

function localFormat(track: Track, bitstream: BitstreamProfile | undefined): LocalCodec | undefined {
  const format = formatOf(track.codec, track.audio?.channels);
  if (format && bitstream) {
    const { profile, level, tier } = bitstream;
    return { ...format, fmtp: track.codec === "vp9" ? vp9Fmtp(profile) : av1Fmtp(profile, level, tier) };
  }
  if (!format || track.codec !== "h265" || !track.decoderConfig) return format;
  try {
    const { profileTierLevel } = parseHvcConfig(track.decoderConfig);
    const [first = 1] = profileTierLevel;
    return { ...format, fmtp: h265Fmtp(first & 31, (first >> 5) & 1, profileTierLevel.at(-1)!) };
  } catch {
    return format;
  }
}

function withRtx(format: LocalCodec | undefined, hasRtx: boolean): LocalCodec[] {
  if (!format) return [];
  if (hasRtx) return [format];
  return [
    { ...format, rtxPayloadType: undefined, feedback: format.feedback.filter((feedback) => feedback !== "nack") },
  ];
}

/**
 * Reads the answer to our offer: what is sent is the first codec of each section that it kept.
 * @throws {ProtocolError} when it takes nothing, or claims the DTLS role that only we have
 */
export function acceptAnswer(
  offer: LocalOffer,
  answer: RemoteDescription,
  config: Pick<WebRtcConfig, "playoutDelay">,
): Negotiated {
  if (answer.setup === "passive") throw new ProtocolError("WEBRTC_SETUP", "the viewer must be the DTLS client");
  const formats = offer.sections.flatMap(({ kind, codecs, media }, index) => {
    const section = answer.media.find((other) => other.mid === media.mid) ?? answer.media[index];
    if (!section || section.isRejected || section.kind !== kind || !section.wantsToReceive) return [];
    const taken = section.codecs[0];
    const position = media.codecs.findIndex((codec) => codec.payloadType === taken?.payloadType);
    if (!taken || position < 0) return [];
    const agreed = { ...taken, rtxPayloadType: rtxOf(taken, media, position) };
    return [formatFor(codecs[position]!, media, agreed, delayFor(section, kind, config))];
  });
  if (formats.length === 0) throw new ProtocolError("WEBRTC_NOTHING_TAKEN", "the answer takes nothing of the offer");
  return { cname: offer.cname, formats };
}

function rtxOf(taken: RtpCodec, media: LocalMedia, position: number): number | undefined {
  const offered = media.codecs[position]!.rtxPayloadType;
  return offered !== undefined && taken.rtxPayloadType === offered ? offered : undefined;
}

/** Of a section whose viewer takes it: its number there is the viewer's. */
function delayFor(
  { extensions }: RemoteMedia,
  kind: string,
  { playoutDelay }: Pick<WebRtcConfig, "playoutDelay">,
): SenderFormat["playoutDelay"] {
  const id = extensions.get(playoutDelayUri);
  return playoutDelay && id !== undefined && kind === "video" ? { id, ...playoutDelay } : undefined;
}

function formatFor(
  codec: Codec,
  media: LocalMedia,
  taken: RtpCodec,
  playoutDelay: SenderFormat["playoutDelay"],
): SenderFormat {
  const hasRtx = taken.rtxPayloadType !== undefined && media.rtxSsrc !== undefined;
  return {
    kind: media.kind,
    codec,
    ssrc: media.ssrc,
    payloadType: taken.payloadType,
    rtxSsrc: hasRtx ? media.rtxSsrc : undefined,
    rtxPayloadType: hasRtx ? taken.rtxPayloadType : undefined,
    ...(playoutDelay && { playoutDelay }),
  };
}

/**
 * Chooses what of a viewer's offer can be served; nothing is opened yet.
 * @returns undefined when no section can be served
 * @throws {ProtocolError} when the offer leaves us no possible DTLS role
 */
export function acceptOffer(
  offer: RemoteDescription,
  playlist: PlayablePlaylist,
): { readonly accepted: readonly AcceptedMedia[]; readonly codecs: readonly Codec[] } | undefined {
  if (offer.setup === "passive") throw new ProtocolError("WEBRTC_SETUP", "the viewer must be the DTLS client");
  const profiles = Object.fromEntries(
    Object.entries(playlist.profiles).map(([codec, { profile }]) => [codec, profile]),
  );
  const kinds = (["video", "audio"] as const).map((kind) => ({
    kind,
    codecs: [...new Set(playlist.renditions.flatMap((rendition) => rendition[kind]?.codec ?? []))],
    profiles,
  }));
  const accepted = acceptMedia(offer, kinds);
  if (accepted.length === 0) return undefined;
  const codecs = accepted.map(({ media, choice }) => kinds.find(({ kind }) => kind === media.kind)!.codecs[choice]!);
  return { accepted, codecs };
}

/** Writes the answer to a viewer's offer, with all candidates: nothing can follow later. */
export function createAnswer(
  peer: IceCredentials,
  offer: RemoteDescription,
  { accepted, codecs }: NonNullable<ReturnType<typeof acceptOffer>>,
  options: NegotiationOptions & { readonly candidates: readonly string[] },
): { readonly sdp: string; readonly negotiated: Negotiated } {
  const identity = createIdentity(options.random);
  const formats: SenderFormat[] = [];
  const media = offer.media.map((section, index): LocalMedia | DeclinedMedia => {
    const position = accepted.findIndex((other) => other.index === index);
    if (position < 0) {
      return {
        declined: true,
        kind: section.kind,
        mid: section.mid,
        protocol: section.protocol,
        formats: section.formats,
      };
    }
    const playoutDelay = delayFor(section, section.kind, options.config);
    const answered = answeredMedia(accepted[position]!, playoutDelay?.id, options);
    formats.push(formatFor(codecs[position]!, answered, accepted[position]!.codec, playoutDelay));
    return answered;
  });
  const sdp = serializeLocalDescription({
    type: "answer",
    ...identity,
    iceUfrag: peer.iceUfrag,
    icePwd: peer.icePwd,
    fingerprint: options.port.fingerprint,
    media,
    candidates: options.candidates,
  });
  return { sdp, negotiated: { cname: identity.cname, formats } };
}

function answeredMedia(
  { media, codec }: AcceptedMedia,
  delayId: number | undefined,
  { random, config }: NegotiationOptions,
): LocalMedia {
  const hasRtx = config.rtx && codec.rtxPayloadType !== undefined;
  return {
    kind: media.kind === "video" ? "video" : "audio",
    mid: media.mid,
    codecs: [
      {
        payloadType: codec.payloadType,
        encoding: codec.encoding,
        clockRate: codec.clockRate,
        channels: codec.channels,
        fmtp: codec.fmtp,
        feedback: codec.feedback.filter((feedback) => understoodFeedback.includes(feedback)),
        rtxPayloadType: hasRtx ? codec.rtxPayloadType : undefined,
      },
    ],
    ssrc: randomSsrc(random),
    rtxSsrc: hasRtx ? randomSsrc(random) : undefined,
    trackId: randomToken(random, 12),
    extensions: delayId === undefined ? [] : [{ id: delayId, uri: playoutDelayUri }],
  };
}

function createIdentity(random: RandomBytes): Identity {
  const bytes = random(8);
  const sessionId = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0) >> 1n;
  return { streamId: randomToken(random, 12), cname: randomToken(random, 12), sessionId };
}

/**
 * Our candidates as text, best first.
 * @param transport the viewer's `?transport=`: `tcp` leaves out UDP where there is TCP, anything else changes nothing
 * @param hasRelay the viewer is told of TURN servers, which reach us by UDP whatever takes the viewer there
 */
export function candidatesFor(port: PortFacts, transport: string | null, hasRelay: boolean): string[] {
  const tcp = port.candidates.filter(({ protocol }) => protocol === "tcp");
  const wanted = transport?.toLowerCase() === "tcp" && tcp.length > 0 && !hasRelay ? tcp : port.candidates;
  return wanted.map(candidateValue);
}
