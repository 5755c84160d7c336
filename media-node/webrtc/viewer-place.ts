import type { CloseReason } from "../flow/close-group.ts";
import type { IceCredentials, MediaPort, RemotePeer } from "./media-port.ts";
import type { Negotiated } from "./negotiation.ts";
import type { PlayableRendition } from "./renditions.ts";

/** What a viewer's description says of our end. */
export type PortFacts = Pick<MediaPort, "candidates" | "fingerprint">;

/** What is told of a viewer wherever it is placed, each at most once. */
export interface ViewerMoments {
  /** Its transport is connected: media begins to flow. */
  readonly onConnected: () => void;
  readonly onFirstMedia: () => void;
}

/** One viewer as signalling sees it, whichever thread sends its media. */
export interface ViewerPlace {
  readonly peer: IceCredentials;
  /** Of the port it is placed at. */
  readonly port: PortFacts;
  readonly isEnded: boolean;
  /** Payload bytes it was sent; of another thread at most a second old. */
  readonly sentBytes: number;
  /** Both sides agreed. Media flows as soon as the transport is connected. */
  accept(negotiated: Negotiated, remote: RemotePeer, rendition: PlayableRendition): void;
  /**
   * Goes over to other tracks of the same codecs, picture with its next key frame.
   * @param onSwitched called when the viewer really gets the new rendition
   */
  switchTo(rendition: PlayableRendition, onSwitched: () => void): void;
  /**
   * Begins or ends choosing among renditions by the viewer's estimates.
   * @param onSwitched called with each rendition when the viewer really gets it
   */
  chooseAmong(renditions: readonly PlayableRendition[], onSwitched: (rendition: PlayableRendition) => void): void;
  /** Says goodbye and lets go of transport, tracks and stream. Later calls do nothing. */
  close(reason: CloseReason): void;
}
