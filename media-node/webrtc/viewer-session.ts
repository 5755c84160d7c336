import type { StreamHold } from "../core/stream-hub.ts";
import type { StreamDescription } from "../core/stream.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf, ProtocolError } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import { parseRtcp, serializeRtcp, type RtcpPacket } from "../rtp/rtcp.ts";
import type { Clock } from "../time/clock.ts";
import { AutoRendition } from "./auto-rendition.ts";
import type { WebRtcConfig } from "./config.ts";
import type { IceCredentials, MediaPort, PeerEvents, PeerTransport, RemotePeer } from "./media-port.ts";
import type { Negotiated } from "./negotiation.ts";
import type { RandomBytes } from "./random.ts";
import type { PlayableRendition } from "./renditions.ts";
import { Retransmitter } from "./retransmitter.ts";
import { SenderReports } from "./sender-reports.ts";
import type { FanOutViewer, StreamFanOut } from "./stream-fan-out.ts";
import { TrackSender } from "./track-sender.ts";
import type { PortFacts, ViewerPlace } from "./viewer-place.ts";
import type { StreamCounters } from "./stream-counters.ts";

/** What the first report waits for, and how long until the next: between half a second and one. */
const reportIntervalMs = 700;
/** A viewer that asks for a key frame within this time of its start has not seen the first one. */
const openingMs = 1_500;
/** How often a rendition is chosen for a viewer in automatic mode, and how long a probe lasts. */
const decisionIntervalMs = 1_000;
const probeMs = 1_000;
/** From this share of lost packets on, large frames are sent more slowly. */
const gentleLossShare = 0.02;
/** RTCP packets of one datagram that are looked at. */
const maxRtcpPackets = 32;

export interface ViewerSessionOptions {
  readonly hold: StreamHold;
  readonly fanOut: StreamFanOut;
  readonly counters: StreamCounters;
  readonly port: MediaPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: RandomBytes;
  readonly config: WebRtcConfig;
  /** Default new ones. */
  readonly credentials?: IceCredentials;
  /** Media begins to flow, in these codecs. */
  readonly onConnected?: (codecs: string) => void;
  /** Called once, whatever ended it. */
  readonly onEnd: (reason: CloseReason) => void;
}

/** One sender with what answers its viewer's complaints. */
interface Section {
  readonly sender: TrackSender;
  readonly retransmitter: Retransmitter;
}

/**
 * One viewer: a transport, and a sender for each section agreed on. It exists from our first description on, sends from
 * the moment the transport is connected, and gives everything back when it ends.
 */
export class ViewerSession implements FanOutViewer, ViewerPlace {
  readonly peer: PeerTransport;
  readonly #options: ViewerSessionOptions;
  #negotiated: Negotiated | undefined;
  #rendition: PlayableRendition | undefined;
  #sections: readonly Section[] = [];
  /** By sections that are gone. */
  #sentBefore = 0;
  #reports: SenderReports | undefined;
  #startedMs = Number.NEGATIVE_INFINITY;
  /** The key frame after which its picture stood last, by its place in the track. */
  #stoodAfter = Number.NaN;
  #nextReportMs = Number.NEGATIVE_INFINITY;
  /** The viewer's own, of what it can receive (REMB), bits per second; 0 = none yet. */
  #estimate = 0;
  #lossShare = 0;
  #auto: AutoRendition | undefined;
  #onAutoSwitched: (rendition: PlayableRendition) => void = () => {};
  #nextDecisionMs = 0;
  #probeUntilMs = Number.NEGATIVE_INFINITY;
  #probedMs = 0;
  #probeRate = 0;
  #end: CloseReason | undefined;

  constructor(options: ViewerSessionOptions) {
    this.#options = options;
    const events: PeerEvents = {
      onState: (state, reason) => this.#onState(state, reason),
      onRtcp: (packet) => this.#onRtcp(packet),
    };
    this.peer = options.port.open(events, options.credentials);
  }

  get port(): PortFacts {
    return this.#options.port;
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** RTP payload sent, in bytes. */
  get sentBytes(): number {
    let bytes = this.#sentBefore;
    for (const { sender } of this.#sections) bytes += sender.octets;
    return bytes;
  }

  get roundTripMs(): number {
    return this.#reports?.roundTripMs ?? 0;
  }

  accept(negotiated: Negotiated, remote: RemotePeer, rendition: PlayableRendition): void {
    if (this.#negotiated || this.#end) return;
    this.#negotiated = negotiated;
    this.#rendition = rendition;
    this.peer.setRemote(remote);
    if (this.peer.state === "connected") this.#start();
  }

  switchTo(rendition: PlayableRendition, onSwitched: () => void): void {
    this.#rendition = rendition;
    let waiting = this.#sections.length;
    if (waiting === 0) return onSwitched();
    for (const { sender } of this.#sections) {
      const track = rendition[sender.format.kind];
      const fanOut = track && this.#options.fanOut.track(track.id);
      const done = (): void => {
        if (--waiting === 0) onSwitched();
      };
      if (fanOut) sender.switchTo(fanOut, done);
      else done();
    }
  }

  chooseAmong(renditions: readonly PlayableRendition[], onSwitched: (rendition: PlayableRendition) => void): void {
    const current = this.#rendition;
    const nowMs = this.#options.clock.nowMs();
    this.#onAutoSwitched = onSwitched;
    this.#auto = current && renditions.length > 1 ? new AutoRendition(renditions, current, nowMs) : undefined;
    this.#nextDecisionMs = nowMs + decisionIntervalMs;
  }

  resume(nowMs: number): boolean {
    let isLeft = false;
    for (const { sender } of this.#sections) {
      if (sender.isLagging) sender.resume(nowMs);
      if (sender.isLagging && !sender.isBlocked) isLeft = true;
    }
    return isLeft;
  }

  report(epochMs: number, nowMs: number): void {
    if (this.#auto) this.#adapt(this.#auto, nowMs);
    if (nowMs < this.#nextReportMs || !this.#reports) return;
    const packet = this.#reports.serialize(
      this.#sections.map(({ sender }) => sender),
      epochMs,
      nowMs,
    );
    if (!packet) return;
    this.#nextReportMs = nowMs + reportIntervalMs;
    this.peer.queueRtcp(packet);
  }

  onDescription(description: StreamDescription): void {
    const isLost = this.#negotiated?.formats.some(({ kind, codec }) => {
      const track = this.#rendition?.[kind];
      return track && description.tracks.find(({ id }) => id === track.id)?.codec !== codec;
    });
    if (isLost) this.close({ code: "tracks-changed", message: "the stream's tracks changed" });
  }

  onTrackWithdrawn(trackId: number): void {
    const isPlayed = (["video", "audio"] as const).some((kind) => this.#rendition?.[kind]?.id === trackId);
    if (isPlayed) this.close({ code: "tracks-changed", message: "a track cannot be played any more" });
  }

  onStreamEnd(reason: CloseReason): void {
    this.close({ code: "stream-ended", message: reason.code });
  }

  close(reason: CloseReason): void {
    if (this.#end) return;
    this.#end = reason;
    const { fanOut, counters, hold, logger, onEnd } = this.#options;
    if (this.peer.state === "connected" && this.#sections.length > 0) {
      const ssrcs = this.#sections.map(({ sender }) => sender.format.ssrc);
      this.peer.queueRtcp(
        serializeRtcp([
          { type: "receiver-report", ssrc: ssrcs[0]!, reports: [] },
          { type: "bye", ssrcs },
        ]),
      );
      this.#options.port.flush();
    }
    for (const { sender, retransmitter } of this.#sections) {
      counters.take(sender, retransmitter);
      sender.close();
    }
    this.#sentBefore = this.sentBytes;
    this.#sections = [];
    fanOut.remove(this);
    counters.remove(this);
    hold.release();
    this.peer.close(reason.code);
    logger.info("viewer left", { reason: reason.code, message: reason.message });
    onEnd(reason);
  }

  /** Packets, bytes and repairs of the senders that run now. */
  get senders(): readonly Section[] {
    return this.#sections;
  }

  #adapt(auto: AutoRendition, nowMs: number): void {
    if (nowMs < this.#probeUntilMs) this.#probe(nowMs);
    if (nowMs < this.#nextDecisionMs) return;
    this.#nextDecisionMs = nowMs + decisionIntervalMs;
    const decision = auto.decide({ nowMs, estimate: this.#estimate, lossShare: this.#lossShare });
    if (decision.kind === "switch") {
      this.switchTo(decision.rendition, () => this.#onAutoSwitched(decision.rendition));
    } else if (decision.kind === "probe") {
      this.#probeUntilMs = nowMs + probeMs;
      this.#probedMs = nowMs;
      this.#probeRate = decision.bitsPerSecond;
    }
  }

  /** Fills up to the probed rate with repeated packets, which the viewer measures and throws away. */
  #probe(nowMs: number): void {
    const video = this.#sections.find(({ sender }) => sender.format.kind === "video");
    const missing = this.#probeRate - (video?.sender.fanOut?.bitrate ?? this.#probeRate);
    video?.retransmitter.pad((Math.max(0, missing) * (nowMs - this.#probedMs)) / 8_000);
    this.#probedMs = nowMs;
  }

  #onState(state: "new" | "connected" | "closed", reason: string): void {
    if (state === "connected" && this.#negotiated) this.#start();
    if (state === "closed") this.close({ code: "peer-closed", message: reason });
  }

  #start(): void {
    if (this.#sections.length > 0 || this.#end) return;
    const { fanOut, config, random, clock, port, logger, counters } = this.#options;
    const nowMs = clock.nowMs();
    this.#startedMs = nowMs;
    const { cname, formats } = this.#negotiated!;
    this.#reports = new SenderReports(cname);
    fanOut.add(this);
    counters.add(this);
    this.#sections = formats.map((format) => {
      const onLag = (): void => fanOut.schedulePacing(this);
      const onFailure = (message: string): void => this.close({ code: "internal", message });
      const sender = new TrackSender(format, this.peer, config, { random, nowMs, onLag, onFailure });
      return { sender, retransmitter: new Retransmitter(sender, this.peer, random, nowMs) };
    });
    for (const { sender } of this.#sections) {
      const track = this.#rendition?.[sender.format.kind];
      const source = track && fanOut.track(track.id);
      if (source) sender.start(source, nowMs);
    }
    port.flush();
    const codecs = formats.map(({ codec }) => codec).join("+");
    logger.info("viewer connected", { sections: codecs });
    this.#options.onConnected?.(codecs);
  }

  #onRtcp(bytes: Uint8Array): void {
    if (this.#end) return;
    try {
      const nowMs = this.#options.clock.nowMs();
      const packets = parseRtcp(bytes);
      for (let i = 0; i < packets.length && i < maxRtcpPackets && !this.#end; i++) this.#receive(packets[i]!, nowMs);
    } catch (thrown) {
      // An authenticated viewer that sends nonsense hurts only itself; it is counted, not punished.
      if (thrown instanceof ProtocolError) this.#options.counters.malformedRtcp++;
      else this.close({ code: "internal", message: messageOf(thrown) });
    }
  }

  #receive(packet: RtcpPacket, nowMs: number): void {
    const { counters } = this.#options;
    switch (packet.type) {
      case "receiver-report":
      case "sender-report":
        for (const block of packet.reports) {
          this.#reports?.receive(block, nowMs);
          if (!this.#section(block.ssrc)) continue;
          counters.reported(block.fractionLost, this.roundTripMs);
          this.#lossShare += (block.fractionLost / 256 - this.#lossShare) / 4;
          this.#section(block.ssrc)!.sender.isGentle = this.#lossShare > gentleLossShare;
        }
        break;
      case "nack":
        counters.nacks++;
        this.#section(packet.mediaSsrc)?.retransmitter.answer(packet.sequences, this.roundTripMs, nowMs);
        this.#options.port.flush();
        break;
      case "pli":
        this.#requestKeyframe(packet.mediaSsrc);
        break;
      case "fir":
        for (const { ssrc } of packet.entries.slice(0, 4)) this.#requestKeyframe(ssrc);
        break;
      case "remb":
        this.#estimate = packet.bitrate;
        break;
      case "bye":
        this.close({ code: "bye" });
        break;
    }
  }

  #requestKeyframe(ssrc: number): void {
    const { counters, fanOut } = this.#options;
    counters.keyframeRequests++;
    const sender = this.#section(ssrc)?.sender;
    const track = sender?.fanOut?.track;
    if (track?.kind !== "video") return;
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - this.#startedMs < openingMs) {
      if (sender?.replayOpening(nowMs)) return this.#options.port.flush();
    } else this.#countFreeze(sender!);
    fanOut.stream.requestKeyframe(track.id);
  }

  /** RFC 4585 §6.3.1: pictures are lost, and what comes cannot be decoded. Players ask again and again until it can. */
  #countFreeze({ fanOut }: TrackSender): void {
    const stoodAfter = fanOut?.history.latestKeyframe?.firstIndex ?? -1;
    if (stoodAfter === this.#stoodAfter) return;
    this.#stoodAfter = stoodAfter;
    this.#options.counters.freezes++;
  }

  #section(ssrc: number): Section | undefined {
    return this.#sections.find(({ sender }) => sender.format.ssrc === ssrc);
  }
}
