/** One `<Origin>` of Server.xml: where to pull from for which request. */
export interface OriginRule {
  /** Start of `/app/stream`, or the whole of it when `isStrict`. */
  readonly location: string;
  /** As written: its letter case is kept in the URL. */
  readonly scheme: string;
  /** Complete but for `scheme://`, in order of preference. Not trimmed. For `file`: an absolute path. */
  readonly urls: readonly string[];
  readonly forwardQueryParams: boolean;
  readonly isStrict: boolean;
  /** Never ended as unused, retried for ever. */
  readonly isPersistent: boolean;
  /** Return to the first URL when it works again. */
  readonly hasFailback: boolean;
  /** OvenMediaEngine's transcoder is bypassed: true for OVT unless said otherwise. */
  readonly isRelay: boolean;
  /** RTSP: do not align tracks by sender reports. */
  readonly ignoresSenderReports: boolean;
}

/** `prefix`: OvenMediaEngine's first plain prefix, so `/app` also takes `/apple/x`. `segments`: whole path segments. */
export type MatchMode = "prefix" | "segments";
