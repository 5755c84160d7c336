import type { TrackMeasure } from "../../core/stream-meter.ts";
import type { LiveFacts, StreamFacts } from "./stream-facts.ts";

/** Something that is wrong with a stream, and what to do about it. */
export interface Finding {
  /** Stable. */
  readonly code: string;
  readonly sentence: string;
  readonly remedy: string;
}

const silentMs = 2_000;
const longGroupMs = 10_000;
const clockOffMs = 30_000;
const lossyShare = 0.05;
const slowShare = 0.5;
const manyHops = 3;

/** Says what is wrong with a stream, worst first; nothing for one that is well. */
export function diagnoseStream({ live, node, events }: StreamFacts): Finding[] {
  const findings: Finding[] = [];
  const say = (code: string, sentence: string, remedy: string): void => void findings.push({ code, sentence, remedy });
  if (node.state !== "serving")
    say("node-drains", `This node is ${node.state}.`, "Viewers are sent elsewhere; look there.");
  if (!live) {
    const last = events.findLast(({ level }) => level !== "info");
    const why = last
      ? ` The last that was heard: ${last.event}${last.fields["error"] ? `: ${String(last.fields["error"])}` : ""}.`
      : "";
    say(
      "not-here",
      `The stream is not live on this node.${why}`,
      "Ask /-/explain at the router where it is, and whether a rule or an origin has it.",
    );
    return findings;
  }
  ofSource(live, say);
  ofTime(live, say);
  for (const measure of live.tracks) ofTrack(measure, live, say);
  ofDelivery(live, say);
  return findings;
}

type Say = (code: string, sentence: string, remedy: string) => void;

function ofSource(live: LiveFacts, say: Say): void {
  if (live.phase === "lost") {
    say(
      "source-lost",
      `Every source fails: ${live.urls.join(", ")}.`,
      "See the events for what each answered; check the origin and the way to it. Viewers wait for GraceTimeout.",
    );
  } else if (live.silenceMs > silentMs) {
    say(
      "source-silent",
      `The source ${live.sourceUrl} is connected and has sent nothing for ${seconds(live.silenceMs)}.`,
      "Check the encoder; the next URL is tried after NoInputFailoverTimeout.",
    );
  }
  if (live.phase === "live" && live.urls.length > 1 && live.sourceUrl !== live.urls[0])
    say(
      "on-second-source",
      `It plays from ${live.sourceUrl}, not from the first URL ${live.urls[0]}.`,
      "Repair the first one; with Failback it returns by itself.",
    );
  if (live.failovers >= 3)
    say(
      "source-unstable",
      `The source was lost ${live.failovers} times.`,
      "Check the network between here and there, and the events for the causes.",
    );
  if (live.path.length >= manyHops)
    say(
      "many-hops",
      `It comes through ${live.path.length} nodes: ${live.path.join(" → ")}.`,
      "Edges should pull from the origin or one relay; check OriginMap rules.",
    );
  if (live.lease === "standby")
    say(
      "lease-standby",
      "Another origin owns this stream in the store; this one is on standby.",
      "Two origins publish one name: wanted as a spare, otherwise rename one.",
    );
  if (live.lease === "unknown")
    say(
      "lease-unknown",
      "The store does not know that this node has the stream: it does not answer, or lost it.",
      "Check Redis and REDIS_URL; claims are made again by themselves.",
    );
}

function ofTime(live: LiveFacts, say: Say): void {
  if (live.ageMs !== undefined && Math.abs(live.ageMs) > clockOffMs && live.silenceMs < silentMs) {
    const side = live.ageMs > 0 ? "behind" : "ahead of";
    say(
      "clock-off",
      `The source's clock is ${seconds(Math.abs(live.ageMs))} ${side} this node's.`,
      "Set the camera's or origin's clock by NTP, or IgnoreRtcpSRTimestamp for the rule.",
    );
  }
  const backwards = live.tracks.reduce((sum, { backwards: times }) => sum + times, 0);
  if (backwards > 0)
    say(
      "time-backwards",
      `Time went back ${backwards} times within a track.`,
      "The encoder restarts its timestamps; see its log.",
    );
  if (live.discontinuities > 0)
    say(
      "format-changed",
      `Tracks or time changed ${live.discontinuities} times with a jump that viewers were told of.`,
      "Give all sources of a stream the same codecs and settings.",
    );
}

function ofTrack({ track, framerate, samples, hasBframes }: TrackMeasure, live: LiveFacts, say: Say): void {
  const label = `${track.kind} track ${track.id} (${track.codec})`;
  if (track.kind === "video") {
    const age = live.lastKeyframeAgeMs;
    if (samples > 0 && (age === undefined || age > longGroupMs) && live.silenceMs < silentMs)
      say(
        "keyframes-rare",
        `The ${label} had no key frame for ${age === undefined ? "as long as it is here" : seconds(age)}.`,
        "Set the encoder's key frame interval to 2 s: joining and failover wait for one.",
      );
    const declared = track.video?.framerate ?? 0;
    if (declared > 0 && framerate > 0 && framerate < slowShare * declared && live.silenceMs < silentMs)
      say(
        "frames-missing",
        `The ${label} says ${declared} pictures a second and sends ${framerate}.`,
        "The encoder cannot keep up, or the way here loses data.",
      );
    if (hasBframes)
      say(
        "b-frames",
        `The ${label} has B-frames, which browsers cannot show by WebRTC.`,
        "Encode with -bf 0 (tune zerolatency) for WebRTC viewers; LL-HLS plays it.",
      );
  }
  if (track.kind === "audio" && track.codec === "aac")
    say(
      "aac-sound",
      `The ${label} cannot be sent by WebRTC as it is.`,
      "It is turned into Opus where ffmpeg is installed; otherwise send Opus beside it.",
    );
}

function ofDelivery({ webrtc }: LiveFacts, say: Say): void {
  if (!webrtc) return;
  if (webrtc.lossShare > lossyShare)
    say(
      "viewers-lose",
      `WebRTC viewers lose ${Math.round(webrtc.lossShare * 100)} % of packets.`,
      "Check the node's egress and its network card's drops; one region's viewers point to their network.",
    );
  if (webrtc.drops > 0)
    say(
      "viewers-slow",
      `Slow WebRTC viewers were taken to a later key frame ${webrtc.drops} times.`,
      "Their lines are too slow for the bit rate: offer a lower rendition.",
    );
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
