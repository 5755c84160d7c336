/** What a track is made of. `"id3"`, `"cue"`, `"scte35"` are data carried in timed samples. */
export type Codec =
  "h264" | "h265" | "vp8" | "vp9" | "av1" | "aac" | "opus" | "mp3" | "pcmu" | "pcma" | "webvtt" | "data";

export type TrackKind = "video" | "audio" | "data" | "subtitle";
