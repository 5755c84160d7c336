import { createHash } from "node:crypto";
import type { Course, CourseSeen, CourseStore } from "./cluster/store/contract.ts";
import type { Sample } from "./core/sample.ts";
import { haveSameTracks } from "./core/same-tracks.ts";
import type { OpenSource, OpenSourceOptions, Source, SourceSink } from "./core/source.ts";
import type { StreamDescription } from "./core/stream.ts";
import { leadOf, type Track } from "./core/track.ts";
import { WrappedSource } from "./core/wrapped-source.ts";
import type { Clock } from "./time/clock.ts";
import { sleep } from "./time/sleep.ts";

export interface AgreedCourseOptions {
  readonly storeOf: (vhost: string) => CourseStore | undefined;
  readonly clock: Clock;
}

/** As often as an epoch is renewed: the store may lose what it knows. */
const renewEveryMs = 60_000;
/** Viewers wait no longer for what is only about the beginning and the count of a list. */
const askMs = 150;
/** More breaks than that were not missed by somebody who was away for a moment: something else wrote the count. */
const mostMissed = 16;

/**
 * Sources of a shared epoch whose nodes agree through the store on how often they broke off, and, where the source does not
 * say, on when anybody here had the first of them: so lists of all edges begin alike and count discontinuities alike, also
 * behind an OvenMediaEngine origin, and an origin that takes another's place goes on in its count. Without a store, or while it
 * does not answer, each node goes by what it has seen itself. See docs/decisions/ll-hls-segments.md.
 */
export function withAgreedCourse(open: OpenSource, { storeOf, clock }: AgreedCourseOptions): OpenSource {
  return async (url, options) => {
    const source = await open(url, options);
    const { stream, isProbe } = options;
    const { description } = source;
    const store = stream && storeOf(stream.vhost);
    const shape = shapeOf(description.tracks);
    // What is not described as a whole is described anew with its first key frame: nobody could tell that from a break.
    if (!store || isProbe || !description.isEpochShared || shape === undefined) return source;
    const agree = (seen: CourseSeen): Promise<Course> => store.agreeCourse(stream, description.originId, seen);
    const seen = seenAtFirst(description, shape, options);
    const course = await inTime(clock, agree(seen));
    const isNew = options.shown?.() === undefined;
    return new CourseSource(source, withCourse(seen, course, isNew), { agree, clock });
  };
}

/** Undefined when there is no answer that viewers could wait for. */
async function inTime(clock: Clock, asked: Promise<Course>): Promise<Course | undefined> {
  const done = new AbortController();
  try {
    return await Promise.race([asked.catch(() => undefined), sleep(clock, askMs, done.signal).then(() => undefined)]);
  } finally {
    done.abort();
  }
}

/** @param isNew nobody was shown anything yet: any count will do */
function withCourse(seen: CourseSeen, course: Course | undefined, isNew: boolean): CourseSeen {
  if (!course) return seen;
  const { breaks, beganMs } = course;
  const isPlausible = breaks > seen.breaks && (isNew || breaks - seen.breaks <= mostMissed);
  return { ...seen, breaks: isPlausible ? breaks : seen.breaks, ...(beganMs !== undefined && { beganMs }) };
}

/** What a node can say that has just opened a source, perhaps in another's place. */
function seenAtFirst(description: StreamDescription, shape: string, { shown }: OpenSourceOptions): CourseSeen {
  const before = shown?.();
  const known = before?.discontinuities ?? 0;
  const isOther = before !== undefined && !haveSameTracks(before.tracks, description.tracks);
  const breaks = Math.max(description.discontinuities ?? 0, known + (isOther ? 1 : 0));
  // Hearth origins count themselves.
  return { shape, breaks, isFollowed: description.discontinuities !== undefined };
}

interface CourseAgreement {
  readonly agree: (seen: CourseSeen) => Promise<Course>;
  readonly clock: Clock;
}

/** A source that says how often it broke off, as all nodes count. */
class CourseSource extends WrappedSource {
  readonly #agreement: CourseAgreement;
  #description: StreamDescription;
  #seen: CourseSeen;
  /** Unix ms, as all nodes take it; undefined while they have not been asked. */
  #agreedBeganMs: number | undefined;
  /** Who leads may never send: then nobody says when it began. */
  #awaited: Track | undefined;
  #sink: SourceSink | undefined;

  constructor(source: Source, seen: CourseSeen, agreement: CourseAgreement) {
    super(source, agreement.clock, renewEveryMs);
    this.#agreement = agreement;
    this.#description = source.description;
    this.#seen = seen;
    this.#agreedBeganMs = seen.beganMs;
    this.#awaited = source.description.beganMs === undefined ? leadOf(source.description.tracks) : undefined;
  }

  get description(): StreamDescription {
    const { breaks } = this.#seen;
    const { beganMs: stated, epochMs } = this.#description;
    const agreed = this.#agreedBeganMs === undefined ? undefined : this.#agreedBeganMs - epochMs;
    const beganMs = stated ?? agreed;
    return { ...this.#description, discontinuities: breaks, ...(beganMs !== undefined && { beganMs }) };
  }

  start(sink: SourceSink): void {
    this.#sink = sink;
    this.source.start({
      onSample: (sample) => {
        if (this.#awaited) this.#lookForBeginning(sample, this.#awaited);
        if (this.isDue) this.#tell();
        sink.onSample(sample);
      },
      onDescription: (description) => this.#describe(description, sink),
      onEnd: (reason) => {
        this.stop();
        sink.onEnd(reason);
      },
    });
  }

  protected override stop(): void {
    super.stop();
    this.#sink = undefined;
  }

  #describe(description: StreamDescription, sink: SourceSink): void {
    const isBreak = !haveSameTracks(this.#description.tracks, description.tracks);
    const { breaks, shape } = this.#seen;
    this.#description = description;
    if (isBreak) this.#seen = { ...this.#seen, breaks: breaks + 1, shape: shapeOf(description.tracks) ?? shape };
    sink.onDescription(this.description);
    if (isBreak) this.#tell();
  }

  /** Nothing before the first key frame can be shown. */
  #lookForBeginning({ trackId, isKeyframe, dts }: Sample, { id, timescale }: Track): void {
    if (trackId !== id || !isKeyframe) return;
    this.#awaited = undefined;
    const beganMs = this.#description.epochMs + (dts * 1000) / timescale;
    // Whoever was told already takes what it was told.
    if (this.#seen.beganMs !== undefined && this.#seen.beganMs <= beganMs) return;
    this.#seen = { ...this.#seen, beganMs };
    this.#tell();
  }

  /** While the store is away, what is known here goes on to hold. */
  #tell(): void {
    this.isDue = false;
    const told = { ...this.#seen, isFollowed: true };
    this.#agreement.agree(told).then(
      (course) => this.#learn(course),
      () => {},
    );
  }

  #learn({ breaks, beganMs }: Course): void {
    const missed = breaks - this.#seen.breaks;
    const isMissed = missed > 0 && missed <= mostMissed;
    // A stream keeps the first beginning that it is told.
    const isBeginningNew = this.#agreedBeganMs === undefined && beganMs !== undefined;
    if (isMissed) this.#seen = { ...this.#seen, breaks };
    if (isBeginningNew) {
      this.#agreedBeganMs = beganMs;
      this.#seen = { ...this.#seen, beganMs };
    }
    if (isMissed || isBeginningNew) this.#sink?.onDescription(this.description);
  }
}

/** What {@link haveSameTracks} compares, as a word; undefined while a track's decoder configuration is to come. */
function shapeOf(tracks: readonly Track[]): string | undefined {
  const decoded = tracks.filter(({ kind }) => kind !== "subtitle");
  if (decoded.some((track) => track.decoderConfig === undefined && isConfigured(track))) return undefined;
  const hash = createHash("sha256");
  for (const { id, codec, timescale, decoderConfig } of decoded) {
    hash.update(`${id} ${codec} ${timescale} ${decoderConfig?.length ?? 0}\n`);
    if (decoderConfig) hash.update(decoderConfig);
  }
  return hash.digest("hex").slice(0, 24);
}

const isConfigured = ({ kind, codec }: Track): boolean => (kind === "video" ? codec !== "vp8" : codec === "aac");
