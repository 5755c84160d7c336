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
 * How near a node is: 3 same data centre, 2 same country, 1 same continent, 0 unknown or elsewhere.
 * A node's region lists what it is near to, in any order: `EU/DE/FRA`, `NA`, `DE,AT,CH`.
 */
export function nearness(region: string, place: ViewerPlace | undefined): number {
  if (!place || region === "") return 0;
  const words = region.toUpperCase().split(/[^A-Z0-9]+/);
  if (place.colo && words.includes(place.colo.toUpperCase())) return 3;
  if (place.country && words.includes(place.country.toUpperCase())) return 2;
  return place.continent && words.includes(place.continent.toUpperCase()) ? 1 : 0;
}
