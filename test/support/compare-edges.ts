/** What two edges of one stream answered differently to the same questions, and how many they were asked. */
export class EdgeComparison {
  readonly differences: string[] = [];
  playlists = 0;
  files = 0;
  readonly #bases: readonly [string, string];
  readonly #compared = new Set<string>();

  /** @param bases `http://host:port/app/stream/` of both */
  constructor(bases: readonly [string, string]) {
    this.#bases = bases;
  }

  /**
   * Asks both for the next playlist with a new part, and for everything it lists that was not compared yet.
   * @param path of a media playlist with its query
   */
  async compareNext(path: string): Promise<void> {
    const url = new URL(path, this.#bases[0]);
    const text = await (await fetch(url)).text();
    const parts = [...text.matchAll(/^#EXT-X-PRELOAD-HINT:TYPE=PART,URI="part_\d+_(\d+)_(\d+)_/gm)][0];
    if (!parts) throw new Error(`no hint in ${text}`);
    const asked = `${path}${path.includes("?") ? "&" : "?"}_HLS_msn=${parts[1]}&_HLS_part=${parts[2]}`;
    // One edge may have taken the next part in before it wrote the answer; the same question a second time is then late for both.
    let both: readonly [string, string] | undefined;
    for (let attempt = 0; attempt < 5 && (!both || both[0] !== both[1]); attempt++)
      both = withoutGaps(await this.#texts(asked));
    this.playlists++;
    if (both![0] !== both![1])
      this.differences.push(`playlists for ${asked}: ${onlyIn(both![0], both![1])} and ${onlyIn(both![1], both![0])}`);
    const hinted = new Set(both![0].match(/(?<=PRELOAD-HINT.*URI=")[^"]+/g));
    const names = [...new Set(both![0].match(/(?:seg|part|init)_[\w-]+_llhls\.(?:m4s|vtt)/g))];
    for (const name of names) if (!hinted.has(name) && !this.#compared.has(name)) await this.#compareFile(name);
  }

  async #texts(path: string): Promise<readonly [string, string]> {
    const [a, b] = await Promise.all(this.#bases.map(async (base) => (await fetch(new URL(path, base))).text()));
    return [a!, b!];
  }

  async #compareFile(name: string): Promise<void> {
    const read = async (base: string): Promise<Buffer> => {
      const answer = await fetch(new URL(name, base));
      const bytes = Buffer.from(await answer.arrayBuffer());
      return answer.status === 200 ? bytes : Buffer.from(`status ${answer.status} of ${base}`);
    };
    const [a, b] = await Promise.all(this.#bases.map(read));
    this.#compared.add(name);
    this.files++;
    if (!a!.equals(b!))
      this.differences.push(`${name}: ${a!.length} and ${b!.length} bytes ${a!.toString("latin1", 0, 40)}`);
  }
}

/** What follows the last gap of either list: what an edge never had it lists as a gap under the name that others have it by. */
function withoutGaps([a, b]: readonly [string, string]): readonly [string, string] {
  const gap = [a, b]
    .flatMap((text) => text.match(/(?<=#EXT-X-GAP\n#EXTINF.*\n).*\n/g) ?? [])
    .toSorted()
    .at(-1);
  if (gap === undefined) return [a, b];
  // Where the first edge is young, too, the second takes what came before both for gaps.
  const after = (text: string): string => text.slice(text.indexOf(gap) + gap.length);
  return [after(a), after(b)];
}

/** Lines of `a` that `b` lacks. */
function onlyIn(a: string, b: string): string {
  const known = new Set(b.split("\n"));
  return JSON.stringify(a.split("\n").filter((line) => !known.has(line)));
}
