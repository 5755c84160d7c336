import type { StreamHold } from "../../core/stream-hub.ts";
import type { CloseReason } from "../../flow/close-group.ts";
import type { Logger } from "../../flow/logger.ts";
import type { IceCredentials, RemotePeer } from "../media-port.ts";
import type { Negotiated } from "../negotiation.ts";
import type { PlayableRendition } from "../renditions.ts";
import type { PortFacts, ViewerMoments, ViewerPlace } from "../viewer-place.ts";
import { withoutBytes, type WorkerCommand, type WorkerReport } from "./worker-messages.ts";

export interface RemoteViewerOptions {
  readonly id: number;
  readonly stream: number;
  readonly hold: StreamHold;
  readonly port: PortFacts;
  readonly credentials: IceCredentials;
  readonly logger: Logger;
  readonly send: (command: WorkerCommand) => void;
  readonly moments: ViewerMoments;
  /** Called once, whatever ended it. */
  readonly onEnd: (reason: CloseReason) => void;
}

/** A viewer whose transport and media are in a media worker. */
export class RemoteViewer implements ViewerPlace {
  readonly peer: IceCredentials;
  readonly port: PortFacts;
  readonly #options: RemoteViewerOptions;
  readonly #switching = new Map<number, () => void>();
  #switches = 0;
  #renditions: readonly PlayableRendition[] = [];
  #onChosen: (rendition: PlayableRendition) => void = () => {};
  #isEnded = false;
  sentBytes = 0;

  constructor(options: RemoteViewerOptions) {
    this.#options = options;
    this.port = options.port;
    this.peer = options.credentials;
    const { id: viewer, stream, send } = options;
    send({ type: "open", viewer, stream, ...options.credentials });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  accept(negotiated: Negotiated, { fingerprints, iceUfrag, icePwd }: RemotePeer, rendition: PlayableRendition): void {
    const remote = { fingerprints, iceUfrag, icePwd };
    this.#send({ type: "accept", viewer: this.#options.id, negotiated, remote, rendition: plain(rendition) });
  }

  switchTo(rendition: PlayableRendition, onSwitched: () => void): void {
    const request = this.#switches++;
    // Only the newest wish is ever reported.
    this.#switching.clear();
    this.#switching.set(request, onSwitched);
    this.#send({ type: "switch", viewer: this.#options.id, rendition: plain(rendition), request });
  }

  chooseAmong(renditions: readonly PlayableRendition[], onSwitched: (rendition: PlayableRendition) => void): void {
    this.#renditions = renditions;
    this.#onChosen = onSwitched;
    this.#send({ type: "choose", viewer: this.#options.id, renditions: renditions.map(plain) });
  }

  close(reason: CloseReason): void {
    if (this.#isEnded) return;
    this.#send({ type: "close", viewer: this.#options.id, reason });
    this.end(reason);
  }

  /** What its worker says of it. */
  receive(report: Extract<WorkerReport, { readonly viewer: number }>): void {
    switch (report.type) {
      case "connected":
        this.#options.moments.onConnected();
        return this.#options.logger.info("viewer connected", { sections: report.codecs });
      case "first-media":
        return this.#options.moments.onFirstMedia();
      case "ended":
        return this.end(report.reason);
      case "switched":
        this.#switching.get(report.request)?.();
        this.#switching.delete(report.request);
        return;
      case "chosen": {
        const rendition = this.#renditions.find(({ name }) => name === report.rendition);
        if (rendition) this.#onChosen(rendition);
      }
    }
  }

  /** It is gone, at the worker too. */
  end(reason: CloseReason): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.hold.release();
    this.#options.logger.info("viewer left", { reason: reason.code, message: reason.message });
    this.#options.onEnd(reason);
  }

  #send(command: WorkerCommand): void {
    if (!this.#isEnded) this.#options.send(command);
  }
}

function plain({ name, video, audio }: PlayableRendition): PlayableRendition {
  return { name, video: video && withoutBytes(video), audio: audio && withoutBytes(audio) };
}
