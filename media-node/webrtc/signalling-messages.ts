import type { Track } from "../core/track.ts";
import type { IceServer } from "./config.ts";
import type { LocalOffer } from "./negotiation.ts";
import type { PlayablePlaylist, PlayableRendition } from "./renditions.ts";

/**
 * OvenMediaEngine's signalling, server to player: one JSON object a text frame.
 * @param id the number this player must repeat in every command
 * @param candidates best first, as `a=candidate` values
 * @param iceServers where there are any, OvenPlayer goes by a relay only, unless its URL says `transport=all`
 */
export function offerMessage(
  id: number,
  offer: LocalOffer,
  candidates: readonly string[],
  iceServers: readonly IceServer[],
): string {
  const sdpMid = offer.sections[0]?.media.mid;
  return JSON.stringify({
    command: "offer",
    id,
    peer_id: 0,
    code: 200,
    sdp: { type: "offer", sdp: offer.sdp },
    candidates: candidates.map((candidate) => ({ candidate: `candidate:${candidate}`, sdpMLineIndex: 0, sdpMid })),
    // Players read the one or the other spelling.
    ...(iceServers.length > 0 && {
      ice_servers: iceServers.map(({ urls, username, credential }) => ({ urls, user_name: username, credential })),
      iceServers,
    }),
  });
}

/** The renditions the player may choose from. OvenPlayer needs it before the first {@link renditionChangedMessage}. */
export function playlistMessage(playlist: PlayablePlaylist, renditions: readonly PlayableRendition[], isAuto: boolean) {
  return JSON.stringify({
    command: "notification",
    type: "playlist",
    message: {
      name: playlist.name,
      file_name: playlist.fileName,
      auto: isAuto,
      renditions: renditions.map(({ name, video, audio }) => ({
        name,
        ...(video && { video_track: videoTrack(video) }),
        ...(audio && { audio_track: audioTrack(audio) }),
      })),
    },
  });
}

function videoTrack(track: Track): unknown {
  const { width = 0, height = 0, framerate = 0 } = track.video ?? {};
  return {
    id: track.id,
    name: track.name,
    type: "Video",
    video: {
      codec: track.codec.toUpperCase(),
      width,
      height,
      maxWidth: width,
      maxHeight: height,
      bitrate: track.bitrate,
      framerate,
      bypass: true,
      hasBframes: false,
      timebase: { num: 1, den: track.timescale },
    },
  };
}

function audioTrack(track: Track): unknown {
  return {
    id: track.id,
    name: track.name,
    type: "Audio",
    audio: {
      codec: track.codec.toUpperCase(),
      samplerate: track.audio?.sampleRate ?? 48_000,
      channel: track.audio?.channels ?? 2,
      bitrate: track.bitrate,
      bypass: true,
      timebase: { num: 1, den: track.timescale },
    },
  };
}

export function renditionChangedMessage(renditionName: string, isAuto: boolean): string {
  return JSON.stringify({
    command: "notification",
    type: "rendition_changed",
    message: { rendition_name: renditionName, auto: isAuto },
  });
}

/** Makes OvenPlayer close its connection and ask for a new offer on the same socket. */
export function stopMessage(id: number): string {
  return JSON.stringify({ command: "stop", id, peer_id: 0 });
}

export function failureMessage(code: number, error: string): string {
  return JSON.stringify({ code, error });
}
