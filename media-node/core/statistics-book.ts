import { every, type Clock, type Timer } from "../time/clock.ts";
import type { ListedStream, StreamHub } from "./stream-hub.ts";
import { StreamMeter } from "./stream-meter.ts";
import { streamKey, type StreamName } from "./stream-name.ts";
import type { Stream } from "./stream.ts";

/** Sums of one stream, one application, one virtual host or the whole node. Bytes count up; the rest is of now, or a peak. */
export interface Figures {
  readonly createdWallMs: number;
  updatedWallMs: number;
  lastReceivedWallMs: number;
  lastSentWallMs: number;
  bytesIn: number;
  bytesOut: number;
  /** Of the last whole second. */
  lastBytesIn: number;
  lastBytesOut: number;
  maxBytesIn: number;
  maxBytesOut: number;
  connections: Readonly<Record<string, number>>;
  totalConnections: number;
  maxTotalConnections: number;
  maxTotalConnectionsWallMs: number;
}

/** A stream that is live, with its measures. */
export interface BookEntry {
  readonly stream: Stream;
  readonly meter: StreamMeter;
  readonly figures: Figures;
}

/** Streams, applications and virtual hosts have names that viewers choose: their number is bounded. */
const maxScopes = 2_000;

/** Keeps the node's statistics: a look at every stream once a second. */
export class StatisticsBook {
  readonly #clock: Clock;
  readonly #hub: StreamHub;
  readonly #entries = new Map<string, BookEntry>();
  /** `""` is the node, `vhost` and `vhost/app` the others. */
  readonly #scopes = new Map<string, Figures>();
  readonly #ticking: Timer;
  readonly #stopListening: () => void;
  #tickedMs: number;

  constructor(hub: StreamHub, clock: Clock) {
    this.#hub = hub;
    this.#clock = clock;
    this.#tickedMs = clock.nowMs();
    this.#scopes.set("", newFigures(clock.wallMs()));
    this.#stopListening = hub.addListener({
      onStream: (stream) => this.#begin(stream),
      onStreamEnd: (last) => this.#end(last),
    });
    this.#ticking = every(clock, 1_000, () => this.#tick());
  }

  close(): void {
    this.#ticking.cancel();
    this.#stopListening();
  }

  /** @param scope `""` for the node, `vhost`, or `vhost/app` */
  figures(scope: string): Figures | undefined {
    return this.#scopes.get(scope);
  }

  stream(name: StreamName): BookEntry | undefined {
    return this.#entries.get(streamKey(name));
  }

  #begin(stream: Stream): void {
    const meter = new StreamMeter(this.#clock);
    stream.addReader(meter);
    this.#entries.set(streamKey(stream.name), { stream, meter, figures: newFigures(this.#clock.wallMs()) });
    for (const scope of scopesOf(stream.name)) {
      if (!this.#scopes.has(scope) && this.#scopes.size < maxScopes)
        this.#scopes.set(scope, newFigures(this.#clock.wallMs()));
    }
  }

  #end(last: ListedStream): void {
    this.#update(last, this.#clock.wallMs());
    this.#entries.delete(streamKey(last.stream.name));
  }

  #tick(): void {
    const nowMs = this.#clock.nowMs();
    const wallMs = this.#clock.wallMs();
    const elapsedMs = Math.max(1, nowMs - this.#tickedMs);
    this.#tickedMs = nowMs;
    for (const figures of this.#scopes.values()) Object.assign(figures, { lastBytesIn: 0, lastBytesOut: 0 });
    const connections = new Map<string, Record<string, number>>();
    for (const scope of this.#scopes.keys()) connections.set(scope, {});
    for (const listed of this.#hub.list()) {
      this.#entries.get(streamKey(listed.stream.name))?.meter.tick(elapsedMs);
      this.#update(listed, wallMs);
      for (const scope of scopesOf(listed.stream.name)) {
        const sum = connections.get(scope);
        if (!sum) continue;
        for (const [kind, count] of Object.entries(connectionsOf(listed))) sum[kind] = (sum[kind] ?? 0) + count;
      }
    }
    for (const [scope, figures] of this.#scopes) {
      figures.maxBytesIn = Math.max(figures.maxBytesIn, figures.lastBytesIn);
      figures.maxBytesOut = Math.max(figures.maxBytesOut, figures.lastBytesOut);
      connect(figures, connections.get(scope) ?? {}, wallMs);
    }
  }

  #update(listed: ListedStream, wallMs: number): void {
    const { stream, sent } = listed;
    const entry = this.#entries.get(streamKey(stream.name));
    if (!entry || entry.stream !== stream) return;
    const { figures } = entry;
    const deltaIn = stream.stats.bytes - figures.bytesIn;
    const deltaOut = Object.values(sent).reduce((sum, bytes) => sum + bytes, 0) - figures.bytesOut;
    figures.lastBytesIn = figures.lastBytesOut = 0;
    for (const each of [figures, ...scopesOf(stream.name).map((scope) => this.#scopes.get(scope))]) {
      if (each) move(each, deltaIn, deltaOut, wallMs);
    }
    figures.maxBytesIn = Math.max(figures.maxBytesIn, deltaIn);
    figures.maxBytesOut = Math.max(figures.maxBytesOut, deltaOut);
    connect(figures, connectionsOf(listed), wallMs);
  }
}

const scopesOf = ({ vhost, app }: StreamName): string[] => ["", vhost, `${vhost}/${app}`];

/** By publisher, as OvenMediaEngine counts and names them: WHEP is a way to WebRTC, HLS version 3 is `hlsv3`. */
function connectionsOf({ viewers }: ListedStream): Record<string, number> {
  const { webrtc = 0, whep = 0, llhls = 0, hls: hlsv3 = 0, ovt = 0 } = viewers;
  return { webrtc: webrtc + whep, llhls, hlsv3, ovt };
}

function move(figures: Figures, bytesIn: number, bytesOut: number, wallMs: number): void {
  figures.bytesIn += bytesIn;
  figures.bytesOut += bytesOut;
  figures.lastBytesIn += bytesIn;
  figures.lastBytesOut += bytesOut;
  figures.updatedWallMs = wallMs;
  if (bytesIn > 0) figures.lastReceivedWallMs = wallMs;
  if (bytesOut > 0) figures.lastSentWallMs = wallMs;
}

function connect(figures: Figures, connections: Record<string, number>, wallMs: number): void {
  figures.connections = connections;
  figures.totalConnections = Object.values(connections).reduce((sum, count) => sum + count, 0);
  if (figures.totalConnections <= figures.maxTotalConnections) return;
  figures.maxTotalConnections = figures.totalConnections;
  figures.maxTotalConnectionsWallMs = wallMs;
}

function newFigures(wallMs: number): Figures {
  return {
    createdWallMs: wallMs,
    updatedWallMs: wallMs,
    lastReceivedWallMs: wallMs,
    lastSentWallMs: wallMs,
    bytesIn: 0,
    bytesOut: 0,
    lastBytesIn: 0,
    lastBytesOut: 0,
    maxBytesIn: 0,
    maxBytesOut: 0,
    connections: {},
    totalConnections: 0,
    maxTotalConnections: 0,
    maxTotalConnectionsWallMs: wallMs,
  };
}
