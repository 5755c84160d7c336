import type { QueryValues } from "./query-values.ts";

/** What a viewer asks of a media playlist (RFC 8216bis §6.2.5), with OvenMediaEngine's additions. */
export interface Directives {
  /** Answer when this segment is complete, or when {@link part} of it is there. */
  readonly msn?: number;
  readonly part?: number;
  readonly isDelta: boolean;
  readonly isLegacy: boolean;
  /** Also what is older than the live window, where that is kept. */
  readonly isRewind: boolean;
  /** The list begins behind what this node never had: for players that do not know gaps. */
  readonly isGapless?: boolean;
}

/** What holds where a query does not say. */
export interface DirectiveDefaults {
  readonly isLegacy: boolean;
  readonly isRewind: boolean;
}

const wholeNumber = /^\d{1,15}$/;

/**
 * @returns undefined for directives that no answer satisfies: the request is a bad one
 */
export function parseDirectives(
  query: QueryValues,
  defaults: DirectiveDefaults = { isLegacy: false, isRewind: true },
): Directives | undefined {
  const msn = query.get("_HLS_msn");
  const part = query.get("_HLS_part");
  if (msn === null && part !== null) return undefined;
  if ((msn !== null && !wholeNumber.test(msn)) || (part !== null && !wholeNumber.test(part))) return undefined;
  const skip = query.get("_HLS_skip");
  const isDelta = skip === "YES" || skip === "v2";
  const isLegacy = choiceOf(query, "_HLS_legacy") ?? defaults.isLegacy;
  const isRewind = choiceOf(query, "_HLS_rewind") ?? defaults.isRewind;
  const isGapless = choiceOf(query, "_HLS_gaps") === false;
  const wanted = { isDelta, isLegacy, isRewind, ...(isGapless && { isGapless }) };
  if (msn === null) return wanted;
  if (part === null) return { msn: Number(msn), ...wanted };
  return { msn: Number(msn), part: Number(part), ...wanted };
}

/** `YES` or `NO`, in any case; undefined for everything else. */
export function choiceOf(query: QueryValues, key: "_HLS_legacy" | "_HLS_rewind" | "_HLS_gaps"): boolean | undefined {
  const value = query.get(key)?.toUpperCase();
  return value === "YES" ? true : value === "NO" ? false : undefined;
}
