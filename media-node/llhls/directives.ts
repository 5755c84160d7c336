/** What a viewer asks of a media playlist (RFC 8216bis §6.2.5), with OvenMediaEngine's additions. */
export interface Directives {
  /** Answer when this segment is complete, or when {@link part} of it is there. */
  readonly msn?: number;
  readonly part?: number;
  readonly isDelta: boolean;
  readonly isLegacy: boolean;
}

const wholeNumber = /^\d{1,15}$/;

/**
 * @param isLegacyByDefault where the query does not say
 * @returns undefined for directives that no answer satisfies: the request is a bad one
 */
export function parseDirectives(query: URLSearchParams, isLegacyByDefault = false): Directives | undefined {
  const msn = query.get("_HLS_msn");
  const part = query.get("_HLS_part");
  if (msn === null && part !== null) return undefined;
  if ((msn !== null && !wholeNumber.test(msn)) || (part !== null && !wholeNumber.test(part))) return undefined;
  const skip = query.get("_HLS_skip");
  const legacy = query.get("_HLS_legacy")?.toUpperCase();
  return {
    ...(msn !== null && { msn: Number(msn) }),
    ...(part !== null && { part: Number(part) }),
    isDelta: skip === "YES" || skip === "v2",
    isLegacy: legacy === "YES" || (legacy !== "NO" && isLegacyByDefault),
  };
}
