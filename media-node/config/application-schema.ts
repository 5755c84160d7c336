import { crossDomainsSchema } from "./cross-domains-schema.ts";
import { choice, flag, integer, milliseconds, notOfferedFlag, optionalFlag, seconds, text } from "./scalars.ts";
import { group, list, unused, type Report, type ScalarNode } from "./schema.ts";
import { outputProfilesSchema } from "./subtitles-schema.ts";

const maxConnection = unused("Unused in OvenMediaEngine, too; see Hearth/MaxViewers.");

const timestampMode: ScalarNode<string> = {
  kind: "scalar",
  type: "ZeroBased | Original",
  doc: "Checked; Hearth aligns tracks itself.",
  isRequired: false,
  fallback: "",
  read: (value, report) => {
    if (!["", "ZeroBased", "Original"].includes(value)) {
      const message = `Invalid TimestampMode value: ${value} (expected: ZeroBased, Original)`;
      report("error", "bad-value", message, "Write ZeroBased or Original, or remove the element.");
    }
    return value;
  },
};

/** Refused by OvenMediaEngine on pulling providers, whatever the value. */
function pushOnly(provider: string): ScalarNode<undefined> {
  const read = (_: string, report: Report): undefined => {
    const message = `PacketSilenceTimeoutMs is not supported for this provider type: ${provider}`;
    report("error", "bad-value", message, "Remove it; silence is Origins/Properties/NoInputFailoverTimeout.");
  };
  return { kind: "scalar", type: "none", doc: "Only for push ingest.", isRequired: false, fallback: undefined, read };
}

const pulling = (doc: string, name: string) =>
  group(doc, {
    MaxConnection: maxConnection,
    TimestampMode: timestampMode,
    UseIncomingTimestamp: unused("Deprecated."),
    PacketSilenceTimeoutMs: pushOnly(name),
    BlockDuplicateStreamName: unused("Has no effect on pulls."),
  });

const bandwidthEstimation: ScalarNode<string> = {
  kind: "scalar",
  type: "REMB, in any case",
  doc: "Receiver estimates for choosing renditions; Hearth always takes them.",
  isRequired: false,
  fallback: "",
  read: (value, report) => {
    if (value !== "" && value.toUpperCase() !== "REMB") {
      report("error", "bad-value", `Invalid value for BWE: ${value}`, "Write REMB, or remove the element.");
    }
    return value.toUpperCase();
  },
};

const webrtcSchema = group("WebRTC delivery.", {
  MaxConnection: maxConnection,
  Timeout: milliseconds(
    "A viewer whose checks stop for this long is gone; of several applications the longest time holds.",
    { fallback: 30_000, min: 1_000 },
  ),
  Rtx: optionalFlag("Retransmission of lost packets; on unless given."),
  Ulpfec: notOfferedFlag("Forward error correction.", "lost packets are sent again, which costs less"),
  JitterBuffer: notOfferedFlag(
    "Sound and picture interleaved by time.",
    "they leave in the order of their source, with times of one clock",
  ),
  PlayoutDelay: group("Asks players how long to hold pictures back (the playout-delay header extension).", {
    Min: milliseconds("0 and a `Max` of 0: shown as soon as decoded.", { fallback: 0, max: 40_950 }),
    Max: milliseconds("Not less than `Min`.", { fallback: 0, max: 40_950 }),
  }),
  BandwidthEstimation: bandwidthEstimation,
  CreateDefaultPlaylist: flag("Playable without a playlist of the origin's.", true),
  CrossDomains: crossDomainsSchema,
});

const maxAge = (doc: string, fallback: number) => integer(doc, { fallback, min: -1, max: 31_536_000 }, "seconds");

const llhlsSchema = group("LL-HLS delivery.", {
  MaxConnection: maxConnection,
  ChunkDuration: seconds("Length of a part, rounded to whole frames.", { fallback: 0.5, min: 0.05, max: 10 }),
  SegmentDuration: seconds("Length of a segment.", { fallback: 10, min: 0.5, max: 60 }),
  SegmentCount: integer("Segments in the live window; at least 3.", { fallback: 5, min: 3, max: 10_000 }),
  PartHoldBack: seconds("Least distance of players from the live edge; at least three parts.", {
    fallback: 0,
    max: 60,
  }),
  EnablePreloadHint: flag("Announce the next part.", true),
  OriginMode: flag("Names without session: always so in Hearth.", false),
  ServerTimeBasedSegmentNumbering: flag("Numbers from the clock: Hearth numbers by source time in any case.", false),
  CreateDefaultPlaylist: flag("Offer llhls.m3u8.", true),
  DefaultQueryString: group("Assumed where a request does not say.", {
    Query: list(
      group("", {
        Key: text("`_HLS_legacy` or `_HLS_rewind`.", { isRequired: true }),
        Value: text("`YES` or `NO`.", { isRequired: true }),
      }),
    ),
  }),
  CacheControl: group(
    "max-age of answers in seconds; 0 means no-cache, -1 no header; what is absent Hearth says itself.",
    {
      MasterPlaylistMaxAge: maxAge("Master playlist.", 0),
      ChunklistMaxAge: maxAge("Media playlist.", 0),
      ChunklistWithDirectivesMaxAge: maxAge("Media playlist asked for with _HLS_msn.", 60),
      SegmentMaxAge: maxAge("Segments.", -1),
      PartialSegmentMaxAge: maxAge("Parts.", -1),
    },
  ),
  CrossDomains: crossDomainsSchema,
  DVR: group("Keeps what is older than the live window on disk, so that viewers can rewind.", {
    Enable: flag("Without it nothing is kept.", false),
    TempStoragePath: text(
      "Folder, made if need be, in which this node writes and removes a folder of its own; unless given, the system's for temporary files.",
    ),
    EventPlaylistType: unused("HLS version 3 cannot be rewound."),
    MaxDuration: seconds("How far back.", { fallback: 3_600, min: 1, max: 86_400 }),
  }),
  DRM: unused("Encryption."),
  Dumps: unused("Writing segments to disk."),
});

/** OvenMediaEngine's HLS version 3 publisher: the elements of LL-HLS without those of parts. */
const hlsSchema = group(
  "HLS version 3 delivery: MPEG-TS segments at `ts:playlist.m3u8`, for players that know nothing newer. H.264, H.265, AAC, MP3.",
  {
    MaxConnection: maxConnection,
    SegmentDuration: seconds("Length of a segment.", { fallback: 4, min: 0.5, max: 60 }),
    SegmentCount: integer("Segments in the live window; at least 3.", { fallback: 4, min: 3, max: 10_000 }),
    OriginMode: flag("Names without session: always so in Hearth.", false),
    ServerTimeBasedSegmentNumbering: flag("Numbers from the clock: Hearth numbers by source time in any case.", false),
    CreateDefaultPlaylist: flag("Offer ts:playlist.m3u8.", true),
    DefaultQueryString: unused("Rewinding."),
    CacheControl: group(
      "max-age of answers in seconds; 0 means no-cache, -1 no header; what is absent Hearth says itself.",
      {
        MasterPlaylistMaxAge: maxAge("Master playlist.", 0),
        ChunklistMaxAge: maxAge("Media playlist.", 0),
        SegmentMaxAge: maxAge("Segments.", -1),
      },
    ),
    CrossDomains: crossDomainsSchema,
    DVR: unused("Rewinding."),
    Dumps: unused("Writing segments to disk."),
  },
);

export const applicationSchema = group("A name space of streams, and what is done with them.", {
  Name: text("`*` is the template from which applications are made when a pull needs one.", {
    isRequired: true,
    assumed: "app",
    isAssumedForOldFiles: true,
  }),
  Type: choice(
    "Checked; makes no difference.",
    ["live", "vod"],
    { isRequired: true, assumed: "live", isAssumedForOldFiles: true },
    (value) => `Unknown type: ${value}`,
  ),
  Providers: group("What may feed streams of this application.", {
    OVT: pulling("Pulling by OVT.", "OVT"),
    RTSPPull: pulling("Pulling by RTSP.", "RTSPPull"),
    File: unused("Rules with the scheme `file` need no provider."),
    RTMP: unused("RTMP ingest."),
    RTSP: unused("RTSP push ingest."),
    SRT: unused("SRT ingest."),
    MPEGTS: unused("MPEG-TS ingest."),
    WebRTC: unused("WHIP ingest."),
    Schedule: unused("Scheduled channels."),
    Multiplex: unused("Multiplexed channels."),
  }),
  Publishers: group("How streams of this application are delivered.", {
    AppWorkerCount: integer("Times `StreamWorkerCount`: threads that send this application's WebRTC, at most.", {
      fallback: 1,
      min: 0,
      max: 128,
    }),
    StreamWorkerCount: integer(
      "Threads beside the main one that send one WebRTC stream, at most; never more than cores (one less where LLHLS or HLS is published, too), or than ports in `IceCandidates`. The first of them serves the first viewer, a further one begins with every 400. 0 keeps to the main thread.",
      { fallback: 8, min: 0, max: 128 },
    ),
    DelayBufferTimeMs: unused("Delay before delivery."),
    MaxConnection: maxConnection,
    WebRTC: webrtcSchema,
    LLHLS: llhlsSchema,
    OVT: group("Other nodes may pull from this application.", { MaxConnection: maxConnection }),
    HLS: hlsSchema,
    DASH: unused("MPEG-DASH."),
    LLDASH: unused("Low-latency MPEG-DASH."),
    SRT: unused("SRT delivery."),
    FILE: unused("Recording."),
    Push: unused("Re-publishing."),
    Thumbnail: unused("Thumbnails."),
    RTMPPush: unused("Re-publishing."),
    MPEGTSPush: unused("Re-publishing."),
    SRTPush: unused("Re-publishing."),
  }),
  OutputProfiles: outputProfilesSchema,
  TranscodeWebhook: unused("Transcoding."),
  EventGenerator: unused("Events in the media."),
  Decodes: unused("Transcoding."),
  PersistentStreams: unused("Deprecated."),
});
