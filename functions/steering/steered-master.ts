/** A node as HLS content steering calls it: one of several places that have the same stream. */
export interface Pathway {
  /** `[A-Za-z0-9._-]+`. */
  readonly id: string;
  /** Absolute URL of the node's master playlist: what its relative URIs are relative to. */
  readonly base: string;
}

/**
 * A node's master playlist, written for several nodes (RFC 8216bis §4.4.6.6, §7): every variant once a pathway, its URI
 * absolute. Media playlists and segments have the same names on every node, so only the host differs.
 * @param serverUri where players ask which pathway to prefer
 */
export function steeredMaster(text: string, pathways: readonly Pathway[], serverUri: string): string {
  const [first] = pathways;
  if (!first) return text;
  const head: string[] = [];
  const perPathway = pathways.map((): string[] => []);
  const lines = text.split(/\r?\n/).filter((line) => line !== "");
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!;
    if (line.startsWith("#EXT-X-STREAM-INF:")) {
      const uri = lines[++at] ?? "";
      pathways.forEach((pathway, index) => {
        perPathway[index]!.push(variantLine(line, pathway, index), absolute(uri, pathway));
      });
    } else if (line.startsWith("#EXT-X-MEDIA:") || line.startsWith("#EXT-X-I-FRAME-STREAM-INF:")) {
      pathways.forEach((pathway, index) => perPathway[index]!.push(mediaLine(line, pathway, index)));
    } else if (line.startsWith("#")) {
      head.push(line);
    }
  }
  const steering = `#EXT-X-CONTENT-STEERING:SERVER-URI="${serverUri}",PATHWAY-ID="${first.id}"`;
  return `${[...head, steering, ...perPathway.flat()].join("\n")}\n`;
}

/** Groups of renditions belong to one pathway each: a variant must not take its audio from another node. */
function variantLine(line: string, pathway: Pathway, index: number): string {
  return `${withGroups(line, /\b(AUDIO|VIDEO|SUBTITLES)="([^"]*)"/g, index)},PATHWAY-ID="${pathway.id}"`;
}

function mediaLine(line: string, pathway: Pathway, index: number): string {
  const withUri = line.replace(/\bURI="([^"]*)"/, (_, uri: string) => `URI="${absolute(uri, pathway)}"`);
  if (line.startsWith("#EXT-X-MEDIA:")) return withGroups(withUri, /\b(GROUP-ID)="([^"]*)"/g, index);
  return variantLine(withUri, pathway, index);
}

function withGroups(line: string, attribute: RegExp, index: number): string {
  return line.replace(attribute, (_, name: string, group: string) => `${name}="${group}_${index + 1}"`);
}

function absolute(uri: string, { base }: Pathway): string {
  return URL.canParse(uri, base) ? new URL(uri, base).href : base;
}
