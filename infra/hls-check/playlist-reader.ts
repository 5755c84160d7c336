/** `NAME=value` pairs of a tag (RFC 8216bis §4.2), quotes removed. */
export type Attributes = ReadonlyMap<string, string>;

export function readAttributes(text: string): Attributes {
  const pairs = text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^",]*)/g);
  return new Map([...pairs].map(([, name, value]) => [name!, value!.replaceAll('"', "")]));
}

export interface SeenPart {
  readonly uri: string;
  readonly seconds: number;
  readonly isIndependent: boolean;
}

export interface SeenSegment {
  readonly msn: number;
  readonly uri: string | undefined;
  readonly seconds: number;
  readonly parts: readonly SeenPart[];
  readonly mapUri: string | undefined;
  readonly dateMs: number | undefined;
  /** Tags before it: one for each break that those who were there saw. */
  readonly discontinuities: number;
  readonly isGap: boolean;
}

/** A media playlist as a client sees it. A segment that is not complete has no `uri`. */
export interface SeenPlaylist {
  readonly lines: readonly string[];
  readonly targetSeconds: number;
  readonly partTarget: number;
  readonly mediaSequence: number;
  readonly discontinuitySequence: number;
  readonly serverControl: Attributes;
  readonly skipped: number;
  readonly segments: readonly SeenSegment[];
  readonly hint: string | undefined;
  readonly reports: readonly Attributes[];
  readonly isEnded: boolean;
}

type Open = { -readonly [K in keyof SeenSegment]: SeenSegment[K] } & { parts: SeenPart[] };

/** Reads what it knows and ignores the rest: this is a judge, not a player. */
export function readMediaPlaylist(text: string): SeenPlaylist {
  const lines = text.split("\n");
  const tag = (name: string): string | undefined =>
    lines.find((line) => line.startsWith(`#${name}:`))?.slice(name.length + 2);
  const mediaSequence = Number(tag("EXT-X-MEDIA-SEQUENCE") ?? 0);
  const skipped = Number(readAttributes(tag("EXT-X-SKIP") ?? "").get("SKIPPED-SEGMENTS") ?? 0);
  return {
    lines,
    mediaSequence,
    skipped,
    targetSeconds: Number(tag("EXT-X-TARGETDURATION") ?? Number.NaN),
    partTarget: Number(readAttributes(tag("EXT-X-PART-INF") ?? "").get("PART-TARGET") ?? Number.NaN),
    discontinuitySequence: Number(tag("EXT-X-DISCONTINUITY-SEQUENCE") ?? 0),
    serverControl: readAttributes(tag("EXT-X-SERVER-CONTROL") ?? ""),
    segments: readSegments(lines, mediaSequence + skipped),
    hint: readAttributes(tag("EXT-X-PRELOAD-HINT") ?? "").get("URI"),
    reports: lines.filter((line) => line.startsWith("#EXT-X-RENDITION-REPORT:")).map(readAttributes),
    isEnded: lines.includes("#EXT-X-ENDLIST"),
  };
}

function readSegments(lines: readonly string[], firstMsn: number): SeenSegment[] {
  const segments: SeenSegment[] = [];
  let mapUri: string | undefined;
  const begin = (): Open => ({
    msn: firstMsn + segments.length,
    uri: undefined,
    seconds: 0,
    parts: [],
    mapUri,
    dateMs: undefined,
    discontinuities: 0,
    isGap: false,
  });
  let open = begin();
  for (const line of lines) {
    const value = line.slice(line.indexOf(":") + 1);
    if (line.startsWith("#EXT-X-MAP:")) open.mapUri = mapUri = readAttributes(value).get("URI");
    else if (line.startsWith("#EXT-X-PROGRAM-DATE-TIME:")) open.dateMs = Date.parse(value);
    else if (line === "#EXT-X-DISCONTINUITY") open.discontinuities++;
    else if (line === "#EXT-X-GAP") open.isGap = true;
    else if (line.startsWith("#EXT-X-PART:")) open.parts.push(readPart(readAttributes(value)));
    else if (line.startsWith("#EXTINF:")) open.seconds = Number.parseFloat(value);
    else if (line !== "" && !line.startsWith("#")) {
      segments.push({ ...open, uri: line });
      open = begin();
    }
  }
  return open.parts.length > 0 ? [...segments, open] : segments;
}

function readPart(attributes: Attributes): SeenPart {
  return {
    uri: attributes.get("URI") ?? "",
    seconds: Number(attributes.get("DURATION")),
    isIndependent: attributes.get("INDEPENDENT") === "YES",
  };
}

export interface SeenVariant {
  readonly attributes: Attributes;
  readonly uri: string;
}

export interface SeenMaster {
  readonly variants: readonly SeenVariant[];
  readonly media: readonly Attributes[];
}

export function readMasterPlaylist(text: string): SeenMaster {
  const lines = text.split("\n");
  return {
    media: lines.filter((line) => line.startsWith("#EXT-X-MEDIA:")).map(readAttributes),
    variants: lines.flatMap((line, index) =>
      line.startsWith("#EXT-X-STREAM-INF:") ? [{ attributes: readAttributes(line), uri: lines[index + 1] ?? "" }] : [],
    ),
  };
}

/** The next part after the last one listed. */
export function nextOf(playlist: SeenPlaylist): { msn: number; part: number } {
  const last = playlist.segments.at(-1);
  if (!last) return { msn: playlist.mediaSequence, part: 0 };
  return last.uri === undefined ? { msn: last.msn, part: last.parts.length } : { msn: last.msn + 1, part: 0 };
}
