import { nextOf, readMediaPlaylist, type SeenPlaylist } from "./playlist-reader.ts";

export type AskedDirectives = Readonly<Record<string, string | number>>;

/** Directives that no answer satisfies, for a list whose next part is of segment `msn` (RFC 8216bis §6.2.5.2). */
const impossible: readonly ((msn: number) => AskedDirectives)[] = [
  () => ({ _HLS_part: 0 }),
  (msn) => ({ _HLS_msn: msn + 10 }),
  () => ({ _HLS_msn: "x" }),
  (msn) => ({ _HLS_msn: msn + 1, _HLS_part: 1_000 }),
];

/**
 * @param playlist the stream's, as old as may be
 * @param ask reloads it with these directives
 * @returns status by directives
 */
export async function askForImpossible(
  playlist: SeenPlaylist,
  ask: (directives: AskedDirectives) => Promise<{ readonly status: number; readonly text: string }>,
): Promise<Map<string, number>> {
  return new Map(await Promise.all(impossible.map((directivesOf) => statusOf(directivesOf))));

  /** Where the stream has reached by then what was far ahead in `playlist`, it is asked again, from the later list. */
  async function statusOf(directivesOf: (msn: number) => AskedDirectives): Promise<[string, number]> {
    for (let latest = playlist, attempt = 0; ; attempt++) {
      const directives = directivesOf(nextOf(latest).msn);
      const { status, text } = await ask(directives);
      if (status === 200) latest = readMediaPlaylist(text);
      const isReached = status === 200 && nextOf(latest).msn > Number(directives["_HLS_msn"]);
      if (!isReached || attempt === 3) return [JSON.stringify(directives), status];
    }
  }
}
