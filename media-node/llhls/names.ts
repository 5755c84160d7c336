/** Track types as OvenMediaEngine's file names spell them. */
export type FileTrackType = "video" | "audio" | "subtitle";

/** A file below `/{app}/{stream}/`, as its name says. */
export type FileName =
  | { readonly kind: "master"; readonly playlist: string }
  | { readonly kind: "media"; readonly trackId: number; readonly type: FileTrackType; readonly key: string }
  | { readonly kind: "init"; readonly trackId: number; readonly type: FileTrackType; readonly key: string }
  | SegmentName
  | PartName;

interface SegmentName {
  readonly kind: "segment";
  readonly trackId: number;
  readonly type: FileTrackType;
  readonly msn: number;
  /** The stream's key, followed by `-{mark}` where the bytes are not those every edge has under this number. */
  readonly key: string;
}

interface PartName extends Omit<SegmentName, "kind"> {
  readonly kind: "part";
  readonly part: number;
}

/** `{kind}_{track}[_{msn}[_{part}]]_{type}_{key}_llhls.{extension}` */
const pattern =
  /^(chunklist|init|seg|part)_(\d{1,10})(?:_(\d{1,15}))?(?:_(\d{1,6}))?_(video|audio|subtitle)_([A-Za-z0-9]{1,64}(?:-[a-z0-9]{1,16})?)_llhls\.(m3u8|m4s|vtt)$/;

/** Longest file name looked at; real ones have fewer than 100 characters. */
const maxNameLength = 256;

/** @returns undefined for a name that is none of LL-HLS, also for what asks for MPEG-TS */
export function parseFileName(file: string, query?: URLSearchParams): FileName | undefined {
  if (file.length > maxNameLength) return undefined;
  const [, prefix, trackId, msn, part, type, key = "", extension] = pattern.exec(file) ?? [];
  if (prefix === undefined) {
    const isMaster =
      file.endsWith(".m3u8") && !/^(?:chunklist_|ts:|ts%3a|medialist_.*_hls\.)/i.test(file) && !isTs(query);
    return isMaster ? { kind: "master", playlist: file.slice(0, -".m3u8".length) } : undefined;
  }
  const shared = { trackId: Number(trackId), type: type as FileTrackType, key };
  const numbers = (msn === undefined ? 0 : 1) + (part === undefined ? 0 : 1);
  // Subtitles are texts, which need no init segment.
  const media = type === "subtitle" ? "vtt" : "m4s";
  if (extension === (media === "vtt" ? "m4s" : "vtt")) return undefined;
  const shape = `${prefix} ${numbers} ${extension === media ? "file" : extension}`;
  if (shape === "chunklist 0 m3u8") return { kind: "media", ...shared };
  if (shape === "init 0 file" && media === "m4s") return { kind: "init", ...shared };
  if (shape === "seg 1 file") return { kind: "segment", ...shared, msn: Number(msn) };
  if (shape === "part 2 file") return { kind: "part", ...shared, msn: Number(msn), part: Number(part) };
  return undefined;
}

const isTs = (query: URLSearchParams | undefined): boolean => query?.get("format")?.toLowerCase() === "ts";

/** Inverse of {@link parseFileName}. */
export function serializeFileName(name: FileName): string {
  if (name.kind === "master") return `${name.playlist}.m3u8`;
  const { trackId, type, key } = name;
  if (name.kind === "media") return `chunklist_${trackId}_${type}_${key}_llhls.m3u8`;
  if (name.kind === "init") return `init_${trackId}_${type}_${key}_llhls.m4s`;
  const extension = type === "subtitle" ? "vtt" : "m4s";
  if (name.kind === "segment") return `seg_${trackId}_${name.msn}_${type}_${key}_llhls.${extension}`;
  return `part_${trackId}_${name.msn}_${name.part}_${type}_${key}_llhls.${extension}`;
}
