/** A file of the MPEG-TS publisher below `/{app}/{stream}/`, as its name says. */
export type TsFileName =
  | { readonly kind: "master"; readonly playlist: string }
  | ({ readonly kind: "ts-media" } & TsVariantName)
  | ({ readonly kind: "ts-segment"; readonly msn: number } & TsVariantName);

/** What is in the files: OvenMediaEngine leaves the form of its `{variant}` open. */
export interface TsVariantName {
  /** Undefined: no track of this kind. */
  readonly videoId: number | undefined;
  readonly audioId: number | undefined;
  /** The stream's key, followed by `-{mark}` where the bytes are not those every edge has under this number. */
  readonly key: string;
}

/** `medialist_{variant}_hls.m3u8`, `seg_{variant}_{n}_hls.ts`; the variant is `{video}-{audio}-{key}`, `x` for no track. */
const pattern =
  /^(medialist|seg)_(\d{1,10}|x)-(\d{1,10}|x)-([A-Za-z0-9]{1,64}(?:-[a-z0-9]{1,16})?)(?:_(\d{1,15}))?_hls\.(m3u8|ts)$/;

/** Longest file name looked at; real ones have fewer than 100 characters. */
const maxNameLength = 256;
const extension = ".m3u8";

/**
 * @param isPlainTaken takes `playlist.m3u8`, too, where no LL-HLS publisher has it
 * @returns undefined for a name that is none of this publisher's
 */
export function parseTsFileName(file: string, query: URLSearchParams, isPlainTaken: boolean): TsFileName | undefined {
  if (file.length > maxNameLength) return undefined;
  const [, prefix, video, audio, key = "", msn, ending] = pattern.exec(file) ?? [];
  if (prefix === undefined) return parseMaster(file, query, isPlainTaken);
  const idOf = (text: string | undefined): number | undefined => (text === "x" ? undefined : Number(text));
  const variant = { videoId: idOf(video), audioId: idOf(audio), key };
  if (prefix === "medialist" && msn === undefined && ending === "m3u8") return { kind: "ts-media", ...variant };
  if (prefix === "seg" && msn !== undefined && ending === "ts")
    return { kind: "ts-segment", ...variant, msn: Number(msn) };
  return undefined;
}

function parseMaster(file: string, query: URLSearchParams, isPlainTaken: boolean): TsFileName | undefined {
  // A colon may come as it is or escaped.
  const prefix = /^ts(?::|%3a)/i.exec(file)?.[0] ?? "";
  if (!file.endsWith(extension)) return undefined;
  const playlist = file.slice(prefix.length, -extension.length);
  if (/^(?:chunklist|medialist)_/.test(playlist)) return undefined;
  const isAsked = prefix !== "" || query.get("format")?.toLowerCase() === "ts";
  return isAsked || (isPlainTaken && playlist === "playlist") ? { kind: "master", playlist } : undefined;
}

/** Inverse of {@link parseTsFileName} for media playlists and segments. */
export function serializeTsFileName(name: Exclude<TsFileName, { kind: "master" }>): string {
  const variant = `${name.videoId ?? "x"}-${name.audioId ?? "x"}-${name.key}`;
  return name.kind === "ts-media" ? `medialist_${variant}_hls.m3u8` : `seg_${variant}_${name.msn}_hls.ts`;
}
