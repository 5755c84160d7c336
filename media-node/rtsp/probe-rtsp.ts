import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { messageOf } from "../flow/errors.ts";
import type { MediaCounters } from "./media-receiver.ts";
import type { RtspFacts, RtspSession } from "./rtsp-session.ts";
import { isIncomplete } from "./video-formats.ts";
import { openRtspSession, type RtspSourceOptions } from "./rtsp-source.ts";

/** One sentence about a source. `offers`: what it has; `plan`: what this node does with it; `problem`: what is wrong. */
export interface RtspFinding {
  readonly kind: "offers" | "plan" | "problem";
  readonly text: string;
}

export interface RtspProbe {
  /** Whether viewers would see or hear anything. */
  readonly isPlayable: boolean;
  readonly findings: readonly RtspFinding[];
}

export interface ProbeRtspOptions extends RtspSourceOptions {
  /** How long to listen; two key frames should fit. */
  readonly listenMs?: number;
  readonly signal: AbortSignal;
}

/** What was heard of one track. */
interface Heard {
  readonly track: Track;
  readonly samples: readonly Sample[];
  readonly counters: MediaCounters | undefined;
}

/** Key frames further apart than this make viewers wait. */
const longKeyframeIntervalMs = 4_000;
/** A wall clock this wrong is worth a word, though everything plays. */
const clockErrorMs = 1_000;

/** Pulls `url` for a while and says in plain words what it offers, what is made of it, and what is wrong. Never throws. */
export async function probeRtsp(url: string, options: ProbeRtspOptions): Promise<RtspProbe> {
  let session: RtspSession;
  try {
    session = await openRtspSession(url, options, options.signal);
  } catch (thrown) {
    return { isPlayable: false, findings: [{ kind: "problem", text: messageOf(thrown) }] };
  }
  const samples: Sample[] = [];
  let ended: string | undefined;
  const listened = Promise.withResolvers<void>();
  session.start({
    onSample: (sample) => void samples.push(sample),
    onDescription() {},
    onEnd: ({ message, code }) => {
      ended = message ?? code;
      listened.resolve();
    },
  });
  const timer = options.clock.after(options.listenMs ?? 5_000, listened.resolve);
  options.signal.addEventListener("abort", () => listened.resolve(), { once: true });
  await listened.promise;
  timer.cancel();
  const { facts, counters, description } = session;
  await session.close({ code: "probed" });
  const heard = description.tracks.map((track) => ({
    track,
    samples: samples.filter(({ trackId }) => trackId === track.id),
    counters: counters.get(track.id),
  }));
  return report(facts, heard, ended);
}

function report(facts: RtspFacts, heard: readonly Heard[], ended: string | undefined): RtspProbe {
  const findings: RtspFinding[] = [];
  const say = (kind: RtspFinding["kind"], text: string): void => void findings.push({ kind, text });
  for (const one of heard) describeTrack(one, say);
  for (const { kind, encoding, reason } of facts.ignored) {
    say("offers", `${kind} ${encoding}: left out, since ${reason}`);
  }
  const way = facts.transport === "tcp" ? "within the RTSP connection (TCP)" : "in datagrams beside it (UDP)";
  say("plan", `Media is taken ${way}, one connection for all viewers.`);
  describeClock(facts, say);
  if (facts.skippedBytes > 0)
    say("problem", `${facts.skippedBytes} bytes between messages are no RTSP; they are skipped.`);
  if (ended !== undefined) say("problem", `The source ended while it was listened to: ${ended}`);
  return { isPlayable: heard.some(({ track, samples }) => samples.length > 0 && !isIncomplete(track)), findings };
}

type Say = (kind: RtspFinding["kind"], text: string) => void;

function describeTrack({ track, samples, counters }: Heard, say: Say): void {
  const { kind, codec, video, audio } = track;
  const what = video
    ? `${video.width} × ${video.height}${video.framerate > 0 ? `, ${round(video.framerate)} pictures a second` : ""}`
    : `${audio?.sampleRate ?? 0} Hz, ${audio?.channels ?? 0} channel${audio?.channels === 1 ? "" : "s"}`;
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last) {
    say("offers", `${kind} ${codec.toUpperCase()}: ${what}`);
    const withheld = counters?.withheld ?? 0;
    const unread = counters?.discarded ?? 0;
    if (withheld === 0 && unread > 0) return say("problem", unreadable(track, counters?.packets ?? 0));
    if (withheld === 0) return say("problem", `No ${kind} came.`);
    const remedy = "turn off intra refresh and open GOPs at the encoder, and set a key frame interval of 2 s";
    return say(
      "problem",
      `${withheld} pictures came, and none of them a key frame (IDR): nobody could begin to watch; ${remedy}.`,
    );
  }
  const seconds = (last.dts - first.dts) / track.timescale;
  const bits = samples.reduce((sum, { data }) => sum + data.length * 8, 0);
  const rate = seconds > 0 ? `, measured ${round(bits / seconds / 1000)} kbit/s` : "";
  say("offers", `${kind} ${codec.toUpperCase()}: ${isIncomplete(track) ? "of unknown size" : what}${rate}`);
  if (isIncomplete(track)) {
    const what = kind === "video" ? "parameter sets" : "configuration";
    say(
      "problem",
      `Neither the description nor the ${kind} itself has its ${what}, without which nobody can decode it.`,
    );
  }
  if (kind === "video") describePictures(track, samples, say);
  else describeSound(track, say);
  if (counters && counters.lost > 0) {
    say("problem", `${counters.lost} of ${counters.lost + counters.packets} ${kind} packets were lost on the way.`);
  }
}

function unreadable({ kind, codec }: Track, packets: number): string {
  const came = `${packets} packets of ${kind} came, and nothing in them is ${codec.toUpperCase()}`;
  // One name in descriptions (RFC 3551 §4.5.13) stands for three codecs.
  if (codec === "mp3") return `${came}: it is MPEG audio of layer I or II, which nobody plays; send AAC, Opus or MP3.`;
  return `${came} as it should be packed: nobody can see or hear it.`;
}

function describePictures(track: Track, samples: readonly Sample[], say: Say): void {
  const keys = samples.filter(({ isKeyframe }) => isKeyframe);
  const intervals = keys.slice(1).map(({ dts }, index) => ((dts - keys[index]!.dts) * 1000) / track.timescale);
  const longestMs = Math.max(0, ...intervals);
  if (intervals.length === 0) say("problem", "Only one key frame came: viewers wait long for their first picture.");
  else if (longestMs <= longKeyframeIntervalMs) say("plan", `A key frame comes every ${round(longestMs / 1000)} s.`);
  else
    say(
      "problem",
      `Key frames are ${round(longestMs / 1000)} s apart; every 2 s is better for LL-HLS and for joining.`,
    );
  if (samples.some(({ pts }, index) => index > 0 && pts < samples[index - 1]!.pts)) {
    say(
      "problem",
      "The video has B-frames: LL-HLS plays them, WebRTC viewers get no picture. Turn them off at the encoder.",
    );
  }
  if (track.codec === "h265")
    say("plan", "H.265 plays over LL-HLS in Safari and some others; WebRTC viewers mostly cannot.");
}

function describeSound({ codec }: Track, say: Say): void {
  if (codec === "aac") say("plan", "AAC is heard over LL-HLS, and over WebRTC as Opus where ffmpeg is installed.");
  if (codec === "pcmu" || codec === "pcma") say("plan", "G.711 is heard over WebRTC; LL-HLS players cannot.");
}

function describeClock({ senderClockErrorMs }: RtspFacts, say: Say): void {
  if (senderClockErrorMs === undefined) {
    return say("problem", "No RTCP sender report came: sound and picture are aligned by their arrival.");
  }
  if (Math.abs(senderClockErrorMs) > clockErrorMs) {
    const way = senderClockErrorMs > 0 ? "ahead" : "behind";
    const text = `The server's clock is ${round(Math.abs(senderClockErrorMs) / 1000)} s ${way}: let it follow NTP.`;
    return say("problem", text);
  }
  say("plan", "Timestamps follow the server's own clock, so that every node agrees on them.");
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, "");
}
