import { spawn, type ChildProcessByStdio } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { constants as constantsOfSystem, setPriority } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { messageOf } from "../flow/errors.ts";
import { maxFlvFrameBytes, maxFlvMs, serializeFlvFrame, serializeFlvStart } from "./flv-sound.ts";
import { OggPackets, opusPreSkip } from "./ogg-packets.ts";

/** What one encoder is to make. */
export interface OpusSetting {
  /** 1 or 2; more are mixed down. */
  readonly channels: 1 | 2;
  /** AudioSpecificConfig of what goes in. */
  readonly decoderConfig: Uint8Array;
  /** What one frame plays. */
  readonly frameSeconds: number;
}

export interface OpusEncoderEvents {
  /** Called once, before the first packet: samples at 48 kHz that come out before what went in. */
  onPreSkip(samples: number): void;
  onPacket(packet: Uint8Array): void;
  /** The child is gone, or never came; `message` says why, for people. Called once, also after `close`. */
  onEnd(message: string): void;
}

/** One running encoder: raw AAC frames in, Opus packets out. */
export interface OpusEncoder {
  /** @returns false when the frame was dropped because the encoder does not keep up */
  push(frame: Uint8Array): boolean;
  /** Ends it at once; resolves when the process is gone. May be called twice. */
  close(): Promise<void>;
}

export type OpenOpusEncoder = (setting: OpusSetting, events: OpusEncoderEvents) => OpusEncoder;

/** Sixteen seconds of sound at 128 kbit/s: a group of pictures that a stream begins with fits. */
const maxQueuedBytes = 256 * 1024;
const maxComplaintBytes = 2_048;
const bitrate = { 1: "64k", 2: "96k" } as const;

// Without these, ffmpeg reads five seconds ahead to guess what it gets, and gathers a second of Opus before it writes.
const input = ["-probesize", "32", "-analyzeduration", "0", "-f", "flv", "-i", "pipe:0"];
const output = ["-f", "ogg", "-page_duration", "1", "-flush_packets", "1", "pipe:1"];
// A frame that cannot be decoded becomes silence of the same length, so that what follows keeps its time.
const filter = ["-af", "aresample=async=1:min_hard_comp=0.01"];

/**
 * Where a program is; undefined when it is not there or may not be run.
 * @param name a path, or a name to be looked up in `searchPath`
 */
export function findProgram(name: string, searchPath: string): string | undefined {
  const isPath = isAbsolute(name) || name.includes("/");
  const candidates = isPath ? [name] : searchPath.split(delimiter).map((folder) => join(folder || ".", name));
  return candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return statSync(path).isFile();
    } catch {
      return false;
    }
  });
}

/** Encoders that are children running the ffmpeg at `program`, an absolute path. */
export function ffmpegEncoders(program: string): OpenOpusEncoder {
  return (setting, events) => {
    const { channels } = setting;
    const encode = ["-c:a", "libopus", "-ar", "48000", "-ac", String(channels), "-b:a", bitrate[channels]];
    const frames = ["-application", "audio", "-frame_duration", "20"];
    const quiet = ["-nostdin", "-hide_banner", "-v", "error", "-threads", "1"];
    const args = [...quiet, ...input, "-map", "0:a:0", ...filter, ...encode, ...frames, ...output];
    const begun = begin(program, args);
    return "child" in begun ? new FfmpegEncoder(begun.child, setting, events) : noEncoder(begun.failed, events);
  };
}

type PipedChild = ChildProcessByStdio<Writable, Readable, Readable>;

function begin(
  program: string,
  args: string[],
): { readonly child: PipedChild } | { readonly failed: Promise<unknown> } {
  try {
    // Nothing of our environment, which may hold secrets, and no folder that could be unmounted.
    const child = spawn(program, args, { env: { LC_ALL: "C" }, cwd: "/", stdio: ["pipe", "pipe", "pipe"] });
    lowerPriority(child.pid);
    // Node's types leave out that a child has no pipes where no descriptors are left for them.
    const { stdin }: { readonly stdin: Writable | undefined } = child;
    return stdin ? { child } : { failed: new Promise((resolve) => child.once("error", resolve)) };
  } catch (thrown) {
    return { failed: Promise.resolve(thrown) };
  }
}

/** Ends like one that ran: in a later turn, and once. */
function noEncoder(failed: Promise<unknown>, events: OpusEncoderEvents): OpusEncoder {
  const gone = failed.then((thrown) => events.onEnd(notStarted(thrown)));
  return { push: () => false, close: () => gone };
}

const notStarted = (thrown: unknown): string => `ffmpeg cannot be started: ${messageOf(thrown)}`;

/** Where time is short, pictures come first. */
function lowerPriority(pid: number | undefined): void {
  try {
    if (pid !== undefined) setPriority(pid, constantsOfSystem.priority.PRIORITY_LOW);
  } catch {
    // It is gone already, or may not be changed: it works all the same.
  }
}

class FfmpegEncoder implements OpusEncoder {
  readonly #child: PipedChild;
  readonly #events: OpusEncoderEvents;
  readonly #gone = Promise.withResolvers<void>();
  #complaint = "";
  #failure: string | undefined;
  readonly #frameMs: number;
  #frames = 0;
  #hasHead = false;
  #hasTags = false;
  #isEnded = false;

  constructor(child: PipedChild, { decoderConfig, frameSeconds }: OpusSetting, events: OpusEncoderEvents) {
    this.#child = child;
    this.#frameMs = frameSeconds * 1_000;
    this.#events = events;
    const ogg = new OggPackets((packet) => this.#takePacket(packet));
    child.stdout.on("data", (chunk: Buffer) => this.#read(ogg, chunk));
    child.stderr.on("data", (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString("latin1")).slice(-maxComplaintBytes);
    });
    // A child that is gone breaks its pipes; its end is told by "close".
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.on("error", () => {});
    child.once("error", (error) => this.#end(notStarted(error)));
    child.once("close", (code, signal) => this.#end(this.#failure ?? this.#sentence(code, signal)));
    child.stdin.write(serializeFlvStart(decoderConfig));
  }

  push(frame: Uint8Array): boolean {
    const { stdin } = this.#child;
    if (this.#isEnded || !stdin.writable || stdin.writableLength > maxQueuedBytes) return false;
    if (frame.length > maxFlvFrameBytes) return false;
    // As if no frame were ever missing: gaps of the source are put back by who knows its times.
    const timeMs = Math.round(this.#frames * this.#frameMs);
    if (timeMs > maxFlvMs) {
      this.#fail("24 days have passed, which is all that FLV can count");
      return false;
    }
    this.#frames++;
    stdin.write(serializeFlvFrame(timeMs, frame));
    return true;
  }

  close(): Promise<void> {
    if (!this.#isEnded) this.#stop();
    return this.#gone.promise;
  }

  #read(ogg: OggPackets, chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      ogg.push(chunk);
    } catch (thrown) {
      this.#fail(`ffmpeg writes what is no Ogg: ${messageOf(thrown)}`);
    }
  }

  /** RFC 7845 §3: the first packet is the head, the second the tags. */
  #takePacket(packet: Uint8Array): void {
    if (this.#hasTags) return this.#events.onPacket(packet);
    if (this.#hasHead) {
      this.#hasTags = true;
      return;
    }
    this.#hasHead = true;
    const preSkip = opusPreSkip(packet);
    if (preSkip !== undefined) return this.#events.onPreSkip(preSkip);
    this.#fail("ffmpeg writes Ogg without Opus");
  }

  #fail(message: string): void {
    this.#failure ??= message;
    this.#stop();
  }

  /** It holds nothing worth an orderly end. A script around ffmpeg leaves its pipes to others: they are closed here. */
  #stop(): void {
    const { stdin, stdout, stderr } = this.#child;
    this.#child.kill("SIGKILL");
    for (const pipe of [stdin, stdout, stderr]) pipe.destroy();
  }

  #sentence(code: number | null, signal: NodeJS.Signals | null): string {
    const complaint = this.#complaint.trim().split("\n").slice(-3).join("; ");
    return `ffmpeg ended (${signal ?? code})${complaint === "" ? "" : `: ${complaint}`}`;
  }

  #end(message: string): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#gone.resolve();
    this.#events.onEnd(message);
  }
}
