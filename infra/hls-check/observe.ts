import { once } from "node:events";
import { isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import { askForImpossible } from "./impossible-directives.ts";
import {
  nextOf,
  readMasterPlaylist,
  readMediaPlaylist,
  type SeenMaster,
  type SeenPlaylist,
} from "./playlist-reader.ts";
import type { SeenReport } from "./rendition-reports.ts";

/** One answer to a blocking reload. */
export interface Reload {
  readonly playlist: SeenPlaylist;
  readonly tookMs: number;
  /** The part asked for. */
  readonly msn: number;
  readonly part: number;
}

/** What a viewer of one track saw. */
export interface TrackRecord {
  readonly url: URL;
  readonly first: SeenPlaylist;
  readonly reloads: readonly Reload[];
  /** The first hinted part: asked for when it was hinted, and again when it was listed. */
  readonly hint: { readonly uri: string; readonly early: Buffer; readonly late: Buffer } | undefined;
  /** Bytes of everything the last playlist listed, by URI. */
  readonly files: ReadonlyMap<string, Buffer>;
  /** A full playlist and a delta of the same moment. */
  readonly delta: { readonly full: SeenPlaylist; readonly delta: SeenPlaylist } | undefined;
  /** Reports on other tracks, at several moments. */
  readonly reported: readonly SeenReport[];
  /** Status by query, for directives that must be refused. */
  readonly refused: ReadonlyMap<string, number>;
  readonly headers: { readonly playlist: Headers; readonly segment: Headers };
}

export interface HlsRecord {
  readonly master: SeenMaster;
  readonly masterHeaders: Headers;
  readonly tracks: ReadonlyMap<string, TrackRecord>;
  /** What the server chose where `h2` was offered, `""` for nothing; undefined without TLS. */
  readonly alpn: string | undefined;
}

/** Watches every track of a master playlist for a while, as a low-latency player does. */
export async function observeHls(url: string, seconds: number): Promise<HlsRecord> {
  const answer = await fetch(url, { headers: { Origin: "null" } });
  if (answer.status !== 200) throw new Error(`the master playlist is answered with ${answer.status}`);
  const master = readMasterPlaylist(await answer.text());
  // A redirect moves the base of all relative URIs.
  const base = answer.url;
  const uris = [...master.variants.map(({ uri }) => uri), ...master.media.flatMap((media) => media.get("URI") ?? [])];
  const records = await Promise.all(
    [...new Set(uris)].map(async (uri) => [uri, await watch(new URL(uri, base), seconds)] as const),
  );
  return { master, masterHeaders: answer.headers, tracks: new Map(records), alpn: await alpnOf(new URL(base)) };
}

async function alpnOf({ protocol, hostname, port }: URL): Promise<string | undefined> {
  if (protocol !== "https:") return undefined;
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  const name = isIP(host) ? {} : { servername: host };
  const offered = { host, port: Number(port || 443), ALPNProtocols: ["h2", "http/1.1"], ...name };
  const socket = connect({ ...offered, rejectUnauthorized: process.env["NODE_TLS_REJECT_UNAUTHORIZED"] !== "0" });
  try {
    await once(socket, "secureConnect");
    return socket.alpnProtocol || "";
  } finally {
    socket.destroy();
  }
}

async function watch(url: URL, seconds: number): Promise<TrackRecord> {
  const answer = await fetch(url, { headers: { Origin: "null", "Accept-Encoding": "gzip" } });
  const first = readMediaPlaylist(await answer.text());
  const refused = await askForImpossible(first, async (directives) => {
    const answer = await fetch(withDirectives(url, directives));
    return { status: answer.status, text: await answer.text() };
  });
  const hint = first.hint === undefined ? undefined : twice(first.hint, url);
  const reloads = await reload(url, first, seconds);
  const last = reloads.at(-1)?.playlist ?? first;
  const segment = last.segments.find(({ uri, isGap }) => uri !== undefined && !isGap)?.uri ?? "";
  const segmentAnswer = await fetch(new URL(segment, url), { headers: { Origin: "null" } });
  await segmentAnswer.arrayBuffer();
  return {
    url,
    first,
    reloads,
    hint: await hint,
    refused,
    files: await download(url, last),
    delta: await deltaOf(url, last),
    reported: await reportsOf(url, last),
    headers: { playlist: answer.headers, segment: segmentAnswer.headers },
  };
}

/** A part while it is only hinted at, and again once it is there. */
async function twice(uri: string, url: URL): Promise<NonNullable<TrackRecord["hint"]>> {
  const early = await bytesOf(new URL(uri, url));
  return { uri, early, late: await bytesOf(new URL(uri, url)) };
}

function withDirectives(url: URL, directives: Record<string, string | number>): URL {
  const asked = new URL(url);
  for (const [key, value] of Object.entries(directives)) asked.searchParams.set(key, String(value));
  return asked;
}

async function reload(url: URL, first: SeenPlaylist, seconds: number): Promise<Reload[]> {
  const reloads: Reload[] = [];
  const endMs = performance.now() + seconds * 1000;
  for (let playlist = first; performance.now() < endMs && !playlist.isEnded;) {
    const { msn, part } = nextOf(playlist);
    // Who is not made to wait by the server waits by itself (RFC 8216 §6.3.4).
    if (Number.isNaN(first.partTarget)) await sleep(500);
    const startMs = performance.now();
    const answer = await fetch(withDirectives(url, { _HLS_msn: msn, _HLS_part: part }));
    if (answer.status !== 200) throw new Error(`the reload for ${msn}.${part} is answered with ${answer.status}`);
    playlist = readMediaPlaylist(await answer.text());
    const tookMs = performance.now() - startMs;
    reloads.push({ playlist, tookMs, msn, part });
  }
  return reloads;
}

const readList = async (url: URL): Promise<SeenPlaylist> => readMediaPlaylist(await (await fetch(url)).text());

/** Each report of a list five times, between two answers for the list that it reports on. */
async function reportsOf(url: URL, last: SeenPlaylist): Promise<SeenReport[]> {
  const seen: SeenReport[] = [];
  for (const { uri, other } of last.reports.flatMap((report) => reportedOn(report.get("URI"), url))) {
    for (let round = 0; round < 5; round++) {
      const before = await readList(other);
      const { reports } = await readList(url);
      const after = await readList(other);
      const report = reports.find((each) => each.get("URI") === uri);
      if (report) seen.push({ report, before, after });
    }
  }
  return seen;
}

/** Where a report does not say who is watching, it is the same viewer. */
function reportedOn(uri: string | undefined, url: URL): { uri: string; other: URL }[] {
  if (uri === undefined) return [];
  const other = new URL(uri, url);
  if (other.search === "") other.search = url.search;
  return [{ uri, other }];
}

async function deltaOf(url: URL, last: SeenPlaylist): Promise<TrackRecord["delta"]> {
  if (!last.serverControl.has("CAN-SKIP-UNTIL")) return undefined;
  for (let attempt = 0; attempt < 10; attempt++) {
    const before = await readList(url);
    const delta = await readList(withDirectives(url, { _HLS_skip: "YES" }));
    const after = await readList(url);
    if (before.lines.join() === after.lines.join()) return { full: before, delta };
  }
  return undefined;
}

async function download(url: URL, playlist: SeenPlaylist): Promise<Map<string, Buffer>> {
  const uris = playlist.segments
    .filter(({ isGap }) => !isGap)
    .flatMap(({ uri, mapUri, parts }) => [uri, mapUri, ...parts.map((part) => part.uri)]);
  const files = new Map<string, Buffer>();
  // Newest first: the oldest may leave the window meanwhile, and are then not judged.
  for (const uri of new Set(uris.reverse())) {
    if (uri === undefined) continue;
    const answer = await fetch(new URL(uri, url));
    const bytes = Buffer.from(await answer.arrayBuffer());
    if (answer.status === 200) files.set(uri, bytes);
  }
  return files;
}

async function bytesOf(url: URL): Promise<Buffer> {
  const answer = await fetch(url);
  const bytes = Buffer.from(await answer.arrayBuffer());
  return answer.status === 200 ? bytes : Buffer.from(`status ${answer.status}`);
}
