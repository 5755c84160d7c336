import { applyDelta, knownOf } from "./apply-delta.ts";
import { readFragments, readInit } from "./fragment-reader.ts";
import type { HlsRecord, TrackRecord } from "./observe.ts";
import type { SeenPlaylist, SeenSegment } from "./playlist-reader.ts";
import { reportFaults } from "./rendition-reports.ts";

/** One rule of the protocol, and what broke it; nothing broke it when `faults` is empty. */
export interface Verdict {
  readonly rule: string;
  readonly faults: readonly string[];
}

type Rule = (record: HlsRecord) => string[];

const eachTrack =
  (rule: (track: TrackRecord, name: string, record: HlsRecord) => string[]): Rule =>
  (record) =>
    [...record.tracks].flatMap(([name, track]) =>
      rule(track, name, record).map((fault) => `${name.split("?")[0]}: ${fault}`),
    );

const playlistsOf = (track: TrackRecord): SeenPlaylist[] => [track.first, ...track.reloads.map((r) => r.playlist)];
const lastOf = (track: TrackRecord): SeenPlaylist => playlistsOf(track).at(-1)!;
const isVideo = (name: string): boolean => name.includes("_video_");
/** Has parts: without, directives mean nothing. */
const isLowLatency = (track: TrackRecord): boolean => !Number.isNaN(track.first.partTarget);
/** MPEG-TS, by the byte that each of its packets begins with: it has no init segments and no fragments. */
const isTransport = (track: TrackRecord): boolean =>
  readable(track).length > 0 && readable(track).every(({ bytes }) => bytes[0] === 0x47 && bytes[188] === 0x47);
/** WebVTT: whole texts, each with a header of its own. */
const isText = (track: TrackRecord): boolean =>
  readable(track).length > 0 && readable(track).every(({ bytes }) => bytes.toString("latin1", 0, 6) === "WEBVTT");
const failsWhen = (isFault: boolean, text: string): string[] => (isFault ? [text] : []);

/** Segments and parts of the last playlist whose bytes were read, oldest first. */
function readable(track: TrackRecord): { segment: SeenSegment; bytes: Buffer }[] {
  return lastOf(track).segments.flatMap((segment) => {
    const bytes = segment.uri === undefined ? undefined : track.files.get(segment.uri);
    return bytes ? [{ segment, bytes }] : [];
  });
}

const targetDuration = eachTrack((track) => {
  const targets = new Set(playlistsOf(track).map(({ targetSeconds }) => targetSeconds));
  const tooLong = playlistsOf(track).flatMap(({ segments, targetSeconds }) =>
    segments
      .filter(({ seconds }) => Math.round(seconds) > targetSeconds)
      .map(({ msn }) => `segment ${msn} is too long`),
  );
  return [...failsWhen(targets.size !== 1, `TARGETDURATION takes the values ${[...targets].join()}`), ...tooLong];
});

const immutable = eachTrack((track) => {
  const seen = new Map<number, string>();
  const faults: string[] = [];
  let before = 0;
  for (const { mediaSequence, segments } of playlistsOf(track)) {
    if (mediaSequence < before) faults.push(`MEDIA-SEQUENCE went back from ${before} to ${mediaSequence}`);
    before = mediaSequence;
    for (const { msn, uri, seconds } of segments) {
      if (uri === undefined) continue;
      const content = `${uri} ${seconds}`;
      if ((seen.get(msn) ?? content) !== content) faults.push(`segment ${msn} changed`);
      seen.set(msn, content);
    }
  }
  return faults;
});

const windowLength = eachTrack((track) => {
  const { segments, targetSeconds } = lastOf(track);
  const listed = segments.reduce((sum, { uri, seconds }) => sum + (uri === undefined ? 0 : seconds), 0);
  return failsWhen(listed < 3 * targetSeconds, `only ${listed.toFixed(1)} s are listed`);
});

const partLengths = eachTrack((track) =>
  playlistsOf(track).flatMap(({ segments, partTarget }) =>
    segments.flatMap(({ parts, uri, msn }) =>
      parts.flatMap(({ seconds }, index) => {
        const isLast = uri !== undefined && index === parts.length - 1;
        const mayBeShort = isLast || parts[index + 1]?.isIndependent === true || uri === undefined;
        return [
          ...failsWhen(seconds > partTarget + 0.000_5, `part ${msn}.${index} takes ${seconds} s`),
          ...failsWhen(seconds < 0.85 * partTarget && !mayBeShort, `part ${msn}.${index} takes only ${seconds} s`),
        ];
      }),
    ),
  ),
);

const partsMakeSegments = eachTrack((track) =>
  playlistsOf(track).flatMap(({ segments }) =>
    segments
      .filter(({ parts, uri }) => uri !== undefined && parts.length > 0)
      .filter(({ parts, seconds }) => Math.abs(parts.reduce((sum, part) => sum + part.seconds, 0) - seconds) > 0.001)
      .map(({ msn }) => `the parts of ${msn} do not sum up to it`),
  ),
);

const holdBack = eachTrack((track) =>
  playlistsOf(track).flatMap(({ serverControl, partTarget }) => {
    if (Number.isNaN(partTarget)) return [];
    const value = Number(serverControl.get("PART-HOLD-BACK"));
    return failsWhen(!(value >= 3 * partTarget - 1e-6), `PART-HOLD-BACK is ${value} for parts of ${partTarget}`);
  }),
);

const independence = eachTrack((track, name) => {
  if (!isVideo(name)) return [];
  return lastOf(track).segments.flatMap(({ parts, msn }) =>
    parts.flatMap(({ uri, isIndependent }, index) => {
      const bytes = track.files.get(uri);
      const first = bytes && readFragments(bytes)[0];
      if (!first) return [];
      return failsWhen(isIndependent !== first.firstIsSync, `part ${msn}.${index} says INDEPENDENT wrongly`);
    }),
  );
});

const dates = eachTrack((track, _name, { tracks }) => {
  const faults: string[] = [];
  const { segments } = lastOf(track);
  for (const [index, segment] of segments.entries()) {
    const before = segments[index - 1];
    if (segment.dateMs === undefined) faults.push(`segment ${segment.msn} has no date`);
    if (!before || segment.discontinuities > 0 || before.isGap || segment.dateMs === undefined) continue;
    const offMs = segment.dateMs - before.dateMs! - before.seconds * 1000;
    if (Math.abs(offMs) > 20) faults.push(`the date of ${segment.msn} is ${offMs.toFixed()} ms off`);
  }
  const others = [...tracks.values()].flatMap((other) => lastOf(other).segments);
  for (const { msn, dateMs } of segments) {
    const apart = others.filter(
      (other) => other.msn === msn && !other.isGap && Math.abs(other.dateMs! - dateMs!) > 130,
    );
    if (apart.length > 0) faults.push(`the dates of ${msn} differ between tracks`);
  }
  return faults;
});

const discontinuities = eachTrack((track) => {
  const faults: string[] = [];
  const all = playlistsOf(track);
  for (const [index, playlist] of all.entries()) {
    const before = all[index - 1];
    if (!before) continue;
    const gone = before.segments.filter(({ msn }) => msn < playlist.mediaSequence);
    const expected = gone.reduce((sum, segment) => sum + segment.discontinuities, before.discontinuitySequence);
    if (playlist.discontinuitySequence !== expected) faults.push(`DISCONTINUITY-SEQUENCE is not ${expected}`);
  }
  return faults;
});

const deltas = eachTrack((track) => {
  const { delta: seen, first } = track;
  const { serverControl, targetSeconds } = first;
  const canSkip = Number(serverControl.get("CAN-SKIP-UNTIL") ?? Number.NaN);
  const tooNear = failsWhen(canSkip < 6 * targetSeconds, `CAN-SKIP-UNTIL is ${canSkip}, less than 6 target durations`);
  if (!seen || seen.delta.skipped === 0) return tooNear;
  const { full, delta } = seen;
  const at = delta.lines.findIndex((line) => line.startsWith("#EXT-X-SKIP:"));
  const ends = full.lines.flatMap((line, index) => (line !== "" && !line.startsWith("#") ? [index] : []));
  const kept = full.lines.slice(ends[delta.skipped - 1]! + 1);
  const isOther = delta.lines.slice(at + 1).join("\n") !== kept.join("\n");
  // A player has an older list, not the one of the same moment.
  const restored = applyDelta(lastOf(track), delta);
  const isLost = restored !== undefined && JSON.stringify(restored) !== JSON.stringify(knownOf(full));
  return [...tooNear, ...failsWhen(isOther || isLost, "a delta does not restore the playlist")];
});

const renditionReports = eachTrack((track, _name, { tracks }) => {
  const names = new Set([...tracks.values()].map(({ url }) => url.pathname.split("/").at(-1)));
  const unknown = lastOf(track)
    .reports.map((report) => report.get("URI")?.split("?")[0]?.split("/").at(-1))
    .filter((name) => !names.has(name));
  return [
    ...unknown.map((name) => `a report names ${name}, which the master does not`),
    ...track.reported.flatMap(reportFaults),
  ];
});

const blocking = eachTrack((track) =>
  (isLowLatency(track) ? track.reloads : []).flatMap(({ playlist, tookMs, msn, part }) => {
    const last = playlist.segments.at(-1);
    const hasIt =
      last && (last.msn > msn || (last.msn === msn && (last.uri !== undefined || last.parts.length > part)));
    const limitMs = playlist.partTarget * 1000 + 150;
    return [
      ...failsWhen(!hasIt, `the answer for ${msn}.${part} came without it`),
      ...failsWhen(tookMs > 2 * limitMs, `the answer for ${msn}.${part} took ${tookMs.toFixed()} ms`),
    ];
  }),
);

const refusals = eachTrack((track) =>
  (isLowLatency(track) ? [...track.refused] : [])
    .filter(([, status]) => status !== 400)
    .map(([query, status]) => `${query} is answered with ${status}`),
);

const headers: Rule = (record) => [
  ...failsWhen(!allows(record.masterHeaders), "the master is not open to `Origin: null`"),
  ...eachTrack(({ headers: { playlist, segment } }) => [
    ...failsWhen(!allows(playlist) || !allows(segment), "not open to `Origin: null`"),
    ...failsWhen(playlist.get("content-encoding") !== "gzip", "the playlist is not compressed"),
    ...failsWhen(!/mpegurl/i.test(playlist.get("content-type") ?? ""), "the playlist has another content type"),
    ...failsWhen(
      !/^(?:(?:video|audio)\/|text\/vtt)/.test(segment.get("content-type") ?? ""),
      "the segment has another content type",
    ),
  ])(record),
];

function allows(headers: Headers): boolean {
  const origin = headers.get("access-control-allow-origin");
  return (origin === "*" && !headers.has("access-control-allow-credentials")) || origin === "null";
}

const hints = eachTrack(({ hint }) =>
  failsWhen(hint !== undefined && !hint.early.equals(hint.late), `the hinted part ${hint?.uri} changed`),
);

const bandwidth: Rule = ({ master, tracks }) =>
  master.variants.flatMap(({ attributes, uri }) => {
    const audioUri = master.media.find((media) => media.get("GROUP-ID") === attributes.get("AUDIO"))?.get("URI");
    const peaks = [uri, audioUri].flatMap((name) => (name === undefined ? [] : (tracks.get(name) ?? []))).map(peakOf);
    const peak = peaks.reduce((sum, value) => sum + value, 0);
    const said = Number(attributes.get("BANDWIDTH"));
    const isOff = said < 0.9 * peak || said > 1.5 * peak;
    return failsWhen(isOff, `BANDWIDTH=${said}, measured ${Math.round(peak)}`);
  });

function peakOf(track: TrackRecord): number {
  const rates = readable(track)
    .filter(({ segment }) => segment.seconds >= lastOf(track).targetSeconds / 4)
    .map(({ segment, bytes }) => (bytes.length * 8) / segment.seconds);
  return Math.max(0, ...rates);
}

const codecs: Rule = ({ master, tracks }) =>
  master.variants.flatMap(({ attributes, uri }) => {
    const track = tracks.get(uri);
    if (track && isTransport(track)) return [];
    const init = track && track.files.get(lastOf(track).segments.at(-1)?.mapUri ?? "");
    if (!init) return [`no init segment of ${uri}`];
    const { sampleEntry, config } = readInit(init);
    if (sampleEntry !== "avc1") return [];
    const codec = `avc1.${config.toString("hex", 1, 4)}`;
    return failsWhen(!attributes.get("CODECS")?.toLowerCase().includes(codec), `CODECS does not name ${codec}`);
  });

const averageBandwidth: Rule = ({ master, tracks }) =>
  master.variants.flatMap(({ attributes, uri }) => {
    const said = Number(attributes.get("AVERAGE-BANDWIDTH") ?? Number.NaN);
    if (Number.isNaN(said)) return [];
    const audioUri = master.media.find((media) => media.get("GROUP-ID") === attributes.get("AUDIO"))?.get("URI");
    const read = [uri, audioUri].flatMap((name) => (name === undefined ? [] : (tracks.get(name) ?? [])));
    const average = read.map(averageOf).reduce((sum, value) => sum + value, 0);
    const isOff = Math.abs(said - average) > 0.1 * average;
    return failsWhen(isOff, `AVERAGE-BANDWIDTH=${said}, measured ${Math.round(average)}`);
  });

function averageOf(track: TrackRecord): number {
  const whole = readable(track).filter(({ segment }) => segment.uri !== undefined);
  const bits = whole.reduce((sum, { bytes }) => sum + bytes.length * 8, 0);
  return (
    bits /
    Math.max(
      0.001,
      whole.reduce((sum, { segment }) => sum + segment.seconds, 0),
    )
  );
}

const picture: Rule = ({ master, tracks }) =>
  master.variants.flatMap(({ attributes, uri }) => {
    const track = tracks.get(uri);
    const init = track && track.files.get(lastOf(track).segments.at(-1)?.mapUri ?? "");
    if (!track || !init || !uri.includes("video")) return [];
    const { width, height, timescale } = readInit(init);
    const said = attributes.get("RESOLUTION");
    const rate = Number(attributes.get("FRAME-RATE") ?? Number.NaN);
    const fragments = readable(track).flatMap(({ bytes }) => readFragments(bytes));
    const samples = fragments.reduce((sum, { count }) => sum + count, 0);
    const measured = (samples * timescale) / fragments.reduce((sum, { durationTicks }) => sum + durationTicks, 0);
    return [
      ...failsWhen(
        said !== undefined && said !== `${width}x${height}`,
        `RESOLUTION=${said}, the bytes say ${width}x${height}`,
      ),
      ...failsWhen(Math.abs(rate - measured) > 0.05 * measured, `FRAME-RATE=${rate}, measured ${measured.toFixed(3)}`),
    ];
  });

/** Renditions of one kind that a player may switch between begin their segments at the same time. */
const alignment: Rule = ({ master, tracks }) => {
  const videos = new Set(master.variants.map(({ uri }) => uri).filter((uri) => uri.includes("video")));
  const starts = new Map<number, { seconds: number; uri: string }>();
  return [...videos].flatMap((uri) => {
    const track = tracks.get(uri);
    const init = track && track.files.get(lastOf(track).segments.at(-1)?.mapUri ?? "");
    if (!track || !init) return [];
    const { timescale } = readInit(init);
    return readable(track).flatMap(({ segment: { msn }, bytes }) => {
      const seconds = readFragments(bytes)[0]!.baseTime / timescale;
      const other = starts.get(msn);
      if (!other) starts.set(msn, { seconds, uri });
      const apartMs = other ? Math.abs(other.seconds - seconds) * 1000 : 0;
      return failsWhen(apartMs > 50, `segment ${msn} begins ${apartMs.toFixed()} ms apart in ${uri} and ${other?.uri}`);
    });
  });
};

const secure: Rule = ({ alpn }) =>
  failsWhen(alpn !== undefined && alpn !== "h2", `HTTP/2 is not offered (${alpn || "no ALPN"}): Safari needs it`);

const contiguous = eachTrack((track) => {
  if (isTransport(track) || isText(track)) return [];
  const faults: string[] = [];
  let nextTime: number | undefined;
  let nextMsn: number | undefined;
  for (const { segment, bytes } of readable(track)) {
    if (segment.discontinuities > 0 || segment.msn !== nextMsn) nextTime = undefined;
    for (const { baseTime, durationTicks, isBaseMoof } of readFragments(bytes)) {
      if (!isBaseMoof) faults.push(`segment ${segment.msn} lacks default-base-is-moof`);
      if (nextTime !== undefined && baseTime !== nextTime) faults.push(`segment ${segment.msn} has a hole`);
      nextTime = baseTime + durationTicks;
    }
    nextMsn = segment.msn + 1;
  }
  return faults;
});

const concatenation = eachTrack((track) =>
  (isText(track) ? [] : readable(track)).flatMap(({ segment: { parts, msn }, bytes }) => {
    const pieces = parts.map((part) => track.files.get(part.uri));
    if (pieces.length === 0 || pieces.some((piece) => piece === undefined)) return [];
    return failsWhen(!Buffer.concat(pieces.map((piece) => piece!)).equals(bytes), `segment ${msn} is not its parts`);
  }),
);

const initSegments = eachTrack((track) =>
  (isTransport(track) || isText(track) ? [] : [...new Set(lastOf(track).segments.map(({ mapUri }) => mapUri))]).flatMap(
    (uri) => {
      const bytes = track.files.get(uri ?? "");
      return bytes ? failsWhen(!readInit(bytes).hasMvex, `${uri} has no mvex`) : [`${uri} cannot be read`];
    },
  ),
);

const units = eachTrack((track, name) => {
  if (!isVideo(name)) return [];
  const init = track.files.get(lastOf(track).segments.at(-1)?.mapUri ?? "");
  if (!init || readInit(init).sampleEntry !== "avc1") return [];
  const types = new Set(readable(track).flatMap(({ bytes }) => readFragments(bytes).flatMap((f) => [...f.nalTypes])));
  return failsWhen(types.has(9) || types.has(12), "samples hold delimiters or filler");
});

const rules: Record<string, Rule> = {
  "TARGETDURATION is constant and no segment is longer": targetDuration,
  "numbers never go back and listed segments never change": immutable,
  "at least three target durations are listed": windowLength,
  "parts keep PART-TARGET, and fill 85 % of it": partLengths,
  "parts sum up to their segment": partsMakeSegments,
  "PART-HOLD-BACK is at least three parts": holdBack,
  "INDEPENDENT is said of key frames, and only of them": independence,
  "dates are continuous and agree between tracks": dates,
  "DISCONTINUITY-SEQUENCE counts what left the list": discontinuities,
  "a delta update restores the playlist": deltas,
  "rendition reports are true": renditionReports,
  "a reload is held until its part is there": blocking,
  "impossible directives are refused": refusals,
  "compression, content types and CORS": headers,
  "a hinted part is the part later listed": hints,
  "BANDWIDTH is what was measured": bandwidth,
  "CODECS is what the bitstream says": codecs,
  "AVERAGE-BANDWIDTH is what was measured": averageBandwidth,
  "RESOLUTION and FRAME-RATE are what the bytes say": picture,
  "renditions begin their segments together": alignment,
  "HTTP/2 is offered where there is TLS": secure,
  "fragments join up": contiguous,
  "a segment is the concatenation of its parts": concatenation,
  "init segments announce fragments": initSegments,
  "samples hold no delimiters or filler": units,
};

/** Judges what was seen by the rules of RFC 8216bis and CMAF. */
export function checkHls(record: HlsRecord): Verdict[] {
  return Object.entries(rules).map(([rule, check]) => {
    try {
      return { rule, faults: [...new Set(check(record))] };
    } catch (thrown) {
      return { rule, faults: [thrown instanceof Error ? thrown.message : String(thrown)] };
    }
  });
}
