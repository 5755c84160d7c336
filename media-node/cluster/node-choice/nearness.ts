/** Where a viewer is, as the edge network tells it (`request.cf`); absent parts are unknown. */
export interface ViewerPlace {
  /** `EU`, `NA`, … */
  readonly continent?: string;
  /** ISO 3166-1 alpha-2. */
  readonly country?: string;
  /** IATA code of the data centre that took the request. */
  readonly colo?: string;
}

/**
 * A node's region as words in upper case. It lists what the node is near to, in any order and with anything between:
 * `EU/DE/FRA`, `NA`, `DE,AT,CH`.
 */
export function regionWords(region: string): readonly string[] {
  return region.toUpperCase().match(/[A-Z0-9]+/g) ?? [];
}

/** The words that make a node near, nearest first. */
export function placeWords(
  place: ViewerPlace | undefined,
): readonly [colo: string, country: string, continent: string] {
  const word = (text: string | undefined) => text?.toUpperCase() ?? "";
  return [word(place?.colo), word(place?.country), word(place?.continent)];
}

/** How near a node is: 3 same data centre, 2 same country, 1 same continent, 0 unknown or elsewhere. */
export function nearness(region: readonly string[], place: ReturnType<typeof placeWords>): number {
  if (region.length === 0) return 0;
  for (let at = 0; at < 3; at++) if (place[at] !== "" && region.includes(place[at]!)) return 3 - at;
  return 0;
}
