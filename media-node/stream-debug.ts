import type { NodeState } from "./api/health.ts";
import type { LiveFacts, StreamFacts } from "./api/stream-page/stream-facts.ts";
import type { StatisticsBook } from "./core/statistics-book.ts";
import type { ListedStream, StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import type { EventLog } from "./flow/event-log.ts";
import { withoutSecrets } from "./flow/logger.ts";
import { ageSecondsOf } from "./stream-metrics.ts";
import type { Clock } from "./time/clock.ts";

export interface StreamDebugOptions {
  readonly nodeId: string;
  readonly state: () => NodeState;
  readonly hub: Pick<StreamHub, "list" | "look">;
  readonly book: StatisticsBook;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly leaseOf: (name: StreamName) => LiveFacts["lease"];
  readonly webrtcOf: (key: string) => LiveFacts["webrtc"];
}

/** Gathers what the page about one stream shows. */
export class StreamDebug {
  readonly #options: StreamDebugOptions;

  constructor(options: StreamDebugOptions) {
    this.#options = options;
  }

  readonly names = (): string[] => this.#options.hub.list().map(({ stream }) => streamKey(stream.name));

  readonly factsOf = (name: StreamName): StreamFacts => {
    const { nodeId, state, hub, events } = this.#options;
    const listed = hub.look(name);
    return {
      name: streamKey(name),
      node: { id: nodeId, state: state() },
      ...(listed && { live: this.#liveOf(listed) }),
      events: events.of(name.app, name.stream),
    };
  };

  #liveOf(listed: ListedStream): LiveFacts {
    const { book, clock, leaseOf, webrtcOf } = this.#options;
    const { stream, pull, viewers, sent } = listed;
    const entry = book.stream(stream.name);
    const urls = pull?.plan.urls ?? [];
    const state = pull?.state;
    const sourceUrl = state?.phase === "live" ? state.url : (urls[0] ?? "");
    const age = ageSecondsOf(listed, entry, clock);
    const keyframes = entry?.meter.tracks.flatMap(({ lastKeyframeMs }) => lastKeyframeMs ?? []) ?? [];
    return {
      phase: state?.phase ?? "published",
      sourceUrl: withoutSecrets(sourceUrl),
      urls: urls.map(withoutSecrets),
      from: pull?.from ?? "published here",
      failovers: pull?.failovers ?? 0,
      silenceMs: Math.max(0, clock.nowMs() - stream.stats.lastSampleMs),
      path: stream.description.path,
      originId: stream.description.originId,
      isClockShared: stream.description.isEpochShared,
      ageMs: age === undefined ? undefined : age * 1_000,
      tracks: entry?.meter.tracks ?? [],
      lastKeyframeAgeMs: keyframes.length > 0 ? clock.nowMs() - Math.max(...keyframes) : undefined,
      discontinuities: entry?.meter.discontinuities ?? 0,
      viewers,
      sent,
      webrtc: webrtcOf(streamKey(stream.name)),
      lease: leaseOf(stream.name),
    };
  }
}
