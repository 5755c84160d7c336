import type { Attributes, SeenPlaylist } from "./playlist-reader.ts";

/** A rendition report, and the list that it reports on as it was asked for just before and just after. */
export interface SeenReport {
  readonly report: Attributes;
  readonly before: SeenPlaylist;
  readonly after: SeenPlaylist;
}

interface Position {
  readonly msn: number;
  /** Undefined for a segment that is listed without parts. */
  readonly part: number | undefined;
}

function endOf({ segments }: SeenPlaylist): Position | undefined {
  const last = segments.at(-1);
  return last && { msn: last.msn, part: last.parts.length > 0 ? last.parts.length - 1 : undefined };
}

/**
 * What is wrong with a report (RFC 8216bis §4.4.5.4): it may be one part behind the list that it reports on, which may have
 * gone on meanwhile, and never ahead of what that lists.
 */
export function reportFaults({ report, before, after }: SeenReport): string[] {
  const name = report.get("URI")?.split("?")[0];
  const [oldest, newest] = [endOf(before), endOf(after)];
  const number = (attribute: string): number => Number(report.get(attribute) ?? Number.NaN);
  const said = { msn: number("LAST-MSN"), part: number("LAST-PART") };
  if (!oldest || !newest) return [];
  const text = `${said.msn}.${report.get("LAST-PART") ?? ""}`;
  if (Number.isNaN(said.msn)) return [`the report on ${name} has no LAST-MSN`];
  const told = after.segments.find(({ msn }) => msn === said.msn);
  if (Number.isNaN(said.part) && told && told.parts.length > 0) return [`the report on ${name} has no LAST-PART`];
  // Parts of older segments are not listed any more.
  const hasParts = told !== undefined && told.parts.length > 0;
  if (said.msn > newest.msn || (hasParts && said.part >= told.parts.length)) {
    return [`the report on ${name} is ahead: ${text}, listed up to ${newest.msn}.${newest.part ?? ""}`];
  }
  const partsBefore = before.segments.find(({ msn }) => msn === said.msn)?.parts.length ?? 0;
  const isPartBehind = said.msn === oldest.msn && said.part < partsBefore - 2;
  // The last part of a segment is one behind the first of the next.
  const isLastOfItsSegment = !(said.part < partsBefore - 1);
  const isNextBegun = (oldest.part ?? 0) > 0 || !isLastOfItsSegment;
  const isSegmentBehind = said.msn < oldest.msn - 1 || (said.msn === oldest.msn - 1 && isNextBegun);
  if (!isPartBehind && !isSegmentBehind) return [];
  return [`the report on ${name} is behind: ${text}, listed before up to ${oldest.msn}.${oldest.part ?? ""}`];
}
