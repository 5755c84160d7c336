import type { RemoteDescription, RemoteMedia, RtpCodec } from "./remote-description.ts";

/** RTP encoding names by codec, lower case. */
const encodings: Readonly<Record<string, string>> = {
  h264: "h264",
  h265: "h265",
  vp8: "vp8",
  vp9: "vp9",
  av1: "av1",
  opus: "opus",
  pcmu: "pcmu",
  pcma: "pcma",
};

/** The `a=fmtp` parameter that names a profile; without it, 0 (RFC 9628 §6, AOM's RTP payload format §7.2.1). */
const profileKeys: Readonly<Record<string, string>> = { vp9: "profile-id", av1: "profile" };

/** Profiles of H.264 that a browser's software decoder takes, best first; what is not listed comes after. */
const h264Profiles = ["42e0", "4200", "4d", "64"];

/**
 * The payload type of `codec` that suits a viewer best. H.264 only in packetization mode 1; its profile is a formality,
 * for decoders play Main and High also under the constrained baseline's name.
 * @param codec `"h264"`, `"opus"`, …
 * @param profile of a VP9 or AV1 stream, which decoders have to know by its name
 */
export function chooseCodec(media: RemoteMedia, codec: string, profile = 0): RtpCodec | undefined {
  const encoding = encodings[codec];
  const matching = media.codecs.filter((offered) => offered.encoding.toLowerCase() === encoding);
  if (codec === "h264") return chooseH264(matching);
  const profileKey = profileKeys[codec];
  if (profileKey) return matching.find(({ parameters }) => (parameters.get(profileKey) ?? "0") === String(profile));
  return matching[0];
}

function chooseH264(offered: readonly RtpCodec[]): RtpCodec | undefined {
  const rank = (codec: RtpCodec): number => {
    const profile = (codec.parameters.get("profile-level-id") ?? "42e01f").toLowerCase();
    const index = h264Profiles.findIndex((known) => profile.startsWith(known));
    return index < 0 ? h264Profiles.length : index;
  };
  return offered
    .filter((codec) => codec.parameters.get("packetization-mode") === "1")
    .toSorted((a, b) => rank(a) - rank(b))[0];
}

/** A section of the peer's description that media will flow in. */
export interface AcceptedMedia {
  /** Index among the peer's sections. */
  readonly index: number;
  readonly media: RemoteMedia;
  /** Position in the list of codecs that {@link acceptMedia} was asked with. */
  readonly choice: number;
  readonly codec: RtpCodec;
}

/** What can be sent of one kind. */
export interface WantedMedia {
  readonly kind: "video" | "audio";
  /** Best first. */
  readonly codecs: readonly string[];
  /** By codec, see {@link chooseCodec}. */
  readonly profiles?: Readonly<Record<string, number>>;
}

/**
 * Picks the sections and codecs for what a stream can send, at most one section for each kind. All share one transport,
 * so without BUNDLE only the first is taken (RFC 8843 §7.3).
 * @param kinds in order of preference
 */
export function acceptMedia(remote: RemoteDescription, kinds: readonly WantedMedia[]): AcceptedMedia[] {
  const accepted: AcceptedMedia[] = [];
  for (const wanted of kinds) {
    const found = findSection(remote, wanted);
    if (!found) continue;
    const isBundled = remote.bundle.includes(found.media.mid);
    if (accepted.length === 0 || (isBundled && remote.bundle.includes(accepted[0]!.media.mid))) accepted.push(found);
  }
  return accepted;
}

function findSection(remote: RemoteDescription, { kind, codecs, profiles }: WantedMedia): AcceptedMedia | undefined {
  for (const [index, media] of remote.media.entries()) {
    if (media.kind !== kind || media.isRejected || !media.wantsToReceive || !media.hasRtcpMux) continue;
    for (const [choice, name] of codecs.entries()) {
      const codec = chooseCodec(media, name, profiles?.[name]);
      if (codec) return { index, media, choice, codec };
    }
  }
  return undefined;
}
