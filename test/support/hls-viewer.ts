import { leanFetch, type LeanAnswer } from "./lean-fetch.ts";
import { Playout } from "./playout.ts";

/** From how far before the end of a playlist a player begins. */
const beginsMs = 1_000;

/** A part as a playlist lists it. */
interface ListedPart {
  readonly uri: string;
  readonly ms: number;
  readonly msn: number;
  readonly part: number;
}

/** Viewers of one node get the same playlist: it is read once for all of them. */
const lately = new Map<string, readonly ListedPart[]>();
const mostKept = 40;

function partsOf(text: string): readonly ListedPart[] {
  const known = lately.get(text);
  if (known) return known;
  const parts = [...text.matchAll(/^#EXT-X-PART:DURATION=([\d.]+),URI="([^"]+)"/gm)].map(([, seconds, uri]) => {
    const [, msn, part] = /_(\d+)_(\d+)_video_/.exec(uri!)!;
    return { uri: uri!, ms: 1_000 * Number(seconds), msn: Number(msn), part: Number(part) };
  });
  if (lately.size >= mostKept) lately.clear();
  lately.set(text, parts);
  return parts;
}

/** As many from the end as a player begins with. */
function newest(parts: readonly ListedPart[]): ListedPart[] {
  let from = parts.length;
  for (let ms = 0; from > 0 && ms < beginsMs;) ms += parts[--from]!.ms;
  return parts.slice(from);
}

/**
 * An LL-HLS player without a screen: loads parts as they appear, obeys content steering where its master playlist has it,
 * follows redirects as players do. Counts what failed, and when it would have stalled.
 */
export class HlsViewer {
  readonly failures: string[] = [];
  /** When the last of them was, by `performance.now()`. */
  lastFailureMs: number | undefined;
  /** When it last had a master playlist. */
  lastMasterMs: number | undefined;
  /** Nodes whose media it played, in order. */
  readonly nodes: string[] = [];
  /** Longest time between two pieces of media. */
  longestGapMs = 0;
  requests = 0;
  /** What its screen would show. */
  readonly playout = new Playout();
  /** A sentence for each time that what comes after the last part it played was not in the playlist. */
  readonly skips: string[] = [];
  readonly #router: string;
  #mediaUrl = "";
  #steering: { uri: string; pathways: Map<string, string>; current: string; nextMs: number } | undefined;
  #lastMs: number | undefined;
  #last: ListedPart | undefined;
  #isClosed = false;
  readonly #running: Promise<void>;

  /** @param url of the master playlist at the router */
  constructor(url: string) {
    this.#router = url;
    this.#running = this.#run();
  }

  /** When the last media was complete, by `performance.now()`. */
  get lastMs(): number | undefined {
    return this.#lastMs;
  }

  get node(): string | undefined {
    return this.nodes.at(-1);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        if (this.#mediaUrl === "") await this.#loadMaster();
        await this.#steer();
        await this.#loadMedia();
      } catch (thrown) {
        const cause = thrown instanceof Error && thrown.cause instanceof Error ? `: ${thrown.cause.message}` : "";
        this.failures.push(`${thrown instanceof Error ? thrown.message : String(thrown)}${cause} ${this.#mediaUrl}`);
        this.#mediaUrl = "";
        this.lastFailureMs = performance.now();
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    }
  }

  async #get(url: string, isText = true): Promise<LeanAnswer> {
    this.requests++;
    const answer = await leanFetch(url, isText);
    if (answer.status !== 200) throw new Error(`${answer.status} for ${new URL(url).pathname}`);
    return answer;
  }

  async #loadMaster(): Promise<void> {
    const answer = await this.#get(this.#router);
    const { text } = answer;
    const variants = [...text.matchAll(/^#EXT-X-STREAM-INF:(.*)\n(.+)$/gm)].map(([, attributes, uri]) => ({
      pathway: /PATHWAY-ID="([^"]+)"/.exec(attributes!)?.[1] ?? "",
      url: new URL(uri!, answer.url).href,
    }));
    const first = variants[0];
    if (!first) throw new Error(`no variant in ${JSON.stringify(text.slice(0, 200))}`);
    this.#mediaUrl = first.url;
    this.lastMasterMs = performance.now();
    const steering = /^#EXT-X-CONTENT-STEERING:SERVER-URI="([^"]+)",PATHWAY-ID="([^"]+)"/m.exec(text);
    if (!steering) return;
    const pathways = new Map(variants.map(({ pathway, url }) => [pathway, url]));
    this.#steering = { uri: steering[1]!, pathways, current: steering[2]!, nextMs: 0 };
  }

  /** RFC 8216bis §7: asks when the time has come, and plays what comes first in the answer. */
  async #steer(): Promise<void> {
    const steering = this.#steering;
    if (!steering || performance.now() < steering.nextMs) return;
    const uri = new URL(steering.uri);
    uri.searchParams.set("_HLS_pathway", steering.current);
    const manifest = JSON.parse((await this.#get(uri.href)).text) as {
      TTL: number;
      "RELOAD-URI": string;
      "PATHWAY-PRIORITY": string[];
      "PATHWAY-CLONES"?: { "BASE-ID": string; ID: string; "URI-REPLACEMENT": { HOST: string } }[];
    };
    steering.nextMs = performance.now() + manifest.TTL * 1_000;
    steering.uri = new URL(manifest["RELOAD-URI"], uri).href;
    for (const {
      "BASE-ID": base,
      ID: id,
      "URI-REPLACEMENT": { HOST: host },
    } of manifest["PATHWAY-CLONES"] ?? []) {
      const url = new URL(steering.pathways.get(base) ?? this.#mediaUrl);
      url.hostname = host;
      if (!steering.pathways.has(id)) steering.pathways.set(id, url.href);
    }
    const best = manifest["PATHWAY-PRIORITY"].find((id) => steering.pathways.has(id));
    if (best === undefined || best === steering.current) return;
    steering.current = best;
    this.#mediaUrl = steering.pathways.get(best)!;
  }

  /** Loads the playlist, waiting for the next part, and every part in it that is new. */
  async #loadMedia(): Promise<void> {
    const url = new URL(this.#mediaUrl);
    const last = this.#last;
    if (last) {
      url.searchParams.set("_HLS_msn", String(last.msn));
      url.searchParams.set("_HLS_part", String(last.part + 1));
    }
    const answer = await this.#get(url.href);
    const { text } = answer;
    // A player without steering keeps the address that it was redirected to.
    const final = new URL(answer.url);
    final.searchParams.delete("_HLS_msn");
    final.searchParams.delete("_HLS_part");
    if (!this.#steering) this.#mediaUrl = final.href;
    const listed = partsOf(text);
    const isNew = ({ msn, part }: ListedPart): boolean =>
      !last || msn > last.msn || (msn === last.msn && part > last.part);
    const fresh = last ? listed.filter(isNew) : newest(listed);
    if (fresh.length === 0) {
      this.playout.look(performance.now());
      return void (await new Promise((r) => setTimeout(r, 50)));
    }
    if (last && !follows(last, fresh[0]!)) this.skips.push(`from ${last.uri} to ${fresh[0]!.uri}`);
    for (const part of fresh) await this.#loadPart(part, answer.url);
  }

  async #loadPart(part: ListedPart, base: string): Promise<void> {
    const media = await this.#get(new URL(part.uri, base).href, false);
    this.#last = part;
    const nowMs = performance.now();
    this.playout.add(part.ms, nowMs);
    if (this.#lastMs !== undefined) this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    const { origin } = new URL(media.url);
    if (this.node !== origin) this.nodes.push(origin);
  }
}

/** The last part of a segment is followed by the first of the next. */
function follows(last: ListedPart, next: ListedPart): boolean {
  return next.msn === last.msn ? next.part === last.part + 1 : next.msn === last.msn + 1 && next.part === 0;
}
