import { serializeRtcp } from "../../media-node/rtp/rtcp.ts";
import type { IceCandidate, PeerTransport } from "../../media-node/webrtc/media-port.ts";
import { TransportViewer, viewerCertificate } from "./transport-viewer.ts";

const videoPayloadType = 108;

/** Parameter sets, alone or aggregated, stand before a key frame only (RFC 6184 §5.4). */
export const beginsKeyframe = (nalType: number): boolean => nalType === 7 || nalType === 24;

/** What a WHEP player sends: H.264 and Opus, DTLS as client. */
export function whepOffer({
  ufrag,
  pwd,
  fingerprint,
}: Readonly<Record<"ufrag" | "pwd" | "fingerprint", string>>): string {
  return [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0 1",
    `a=ice-ufrag:${ufrag}`,
    `a=ice-pwd:${pwd}`,
    `a=fingerprint:sha-256 ${fingerprint.replace(/^sha-256 /, "")}`,
    "a=setup:active",
    "m=video 9 UDP/TLS/RTP/SAVPF 108",
    "c=IN IP4 0.0.0.0",
    "a=mid:0",
    "a=recvonly",
    "a=rtcp-mux",
    "a=rtpmap:108 H264/90000",
    "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "c=IN IP4 0.0.0.0",
    "a=mid:1",
    "a=recvonly",
    "a=rtcp-mux",
    "a=rtpmap:111 opus/48000/2",
    "",
  ].join("\r\n");
}

const ownOffer = whepOffer({
  ufrag: "peer",
  pwd: "0123456789abcdefghijkl",
  fingerprint: viewerCertificate.fingerprint,
});

/** A WHEP player that never gives up: when its session ends it asks the router again. Keeps the times of what it got. */
export class WhepViewer {
  /** Nodes it played from, by origin of its session's URL, in order. */
  readonly nodes: string[] = [];
  /** Requests that were not answered with a session. */
  readonly failures: string[] = [];
  /** Longest time without a whole picture that can be decoded; after a move none can before a key frame. */
  longestGapMs = 0;
  packets = 0;
  readonly #url: string;
  #lastMs: number | undefined;
  #hasKeyframe = false;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  #running: Promise<void>;

  /** @param url `http://router/app/stream/whep` */
  constructor(url: string) {
    this.#url = url;
    this.#running = this.#run();
  }

  get node(): string | undefined {
    return this.nodes.at(-1);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        await this.#play();
      } catch (thrown) {
        this.failures.push(thrown instanceof Error ? thrown.message : String(thrown));
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  }

  async #play(): Promise<void> {
    const answer = await fetch(this.#url, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: ownOffer,
    });
    const body = await answer.text();
    if (answer.status !== 201) throw new Error(`${answer.status} of ${new URL(answer.url).origin}: ${body.trim()}`);
    const location = new URL(answer.headers.get("location")!, answer.url);
    const viewer = await connect(body);
    this.nodes.push(location.origin);
    this.#hasKeyframe = false;
    try {
      while (!this.#isClosed && viewer.dtlsStatus === "connected") {
        await new Promise((resolve) => setTimeout(resolve, 20));
        this.#count(viewer);
      }
    } finally {
      viewer.close();
      if (this.#isClosed) await fetch(location, { method: "DELETE" }).catch(() => {});
    }
  }

  /** What came before our keys were made is lost: the opening key frame, perhaps. */
  #askForKeyframe(viewer: TransportViewer, mediaSsrc: number): void {
    if (performance.now() - this.#askedMs < askEveryMs) return;
    this.#askedMs = performance.now();
    viewer.sendRtcp(serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc }]));
  }

  #count(viewer: TransportViewer): void {
    let hasPicture = false;
    for (const packet of viewer.rtp) {
      if ((packet[1]! & 127) !== videoPayloadType) continue;
      this.#hasKeyframe ||= beginsKeyframe(packet[12]! & 31);
      if (!this.#hasKeyframe) this.#askForKeyframe(viewer, packet.readUInt32BE(8));
      hasPicture ||= this.#hasKeyframe && packet[1]! > 127;
    }
    this.packets += viewer.rtp.length;
    if (hasPicture) {
      const nowMs = performance.now();
      if (this.#lastMs !== undefined) this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs);
      this.#lastMs = nowMs;
    }
    viewer.rtp.length = viewer.rtcp.length = viewer.received.length = 0;
  }
}

/** As players ask again for a key frame that they did not get. */
const askEveryMs = 100;

/** What an answer says of where to connect to, best first. */
function placesOf(sdp: string): IceCandidate[] {
  return [...sdp.matchAll(/^a=candidate:\S+ 1 (udp|tcp) \d+ (\S+) (\d+)/gim)].map(([, protocol, address, port]) => ({
    protocol: protocol!.toLowerCase() as "udp" | "tcp",
    address: address!,
    port: Number(port),
  })) as IceCandidate[];
}

async function connect(sdp: string, place = placesOf(sdp).find(({ protocol }) => protocol === "udp")) {
  const line = (name: string): string => new RegExp(`^a=${name}:(\\S+)`, "m").exec(sdp)?.[1] ?? "";
  if (!place) throw new Error("the answer has no candidate");
  const peer = { iceUfrag: line("ice-ufrag"), icePwd: line("ice-pwd"), state: "connected" } as PeerTransport;
  const viewer = await TransportViewer.open(peer, place);
  await viewer.connect();
  return viewer;
}

export interface OnePlay extends AsyncDisposable {
  /** All that the answer named, and the first of them, which was taken. */
  readonly places: readonly IceCandidate[];
  readonly place: IceCandidate;
  readonly transport: TransportViewer;
}

/** Plays a WHEP endpoint once, over the first candidate of its answer. */
export async function playOnce(url: string): Promise<OnePlay> {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp" },
    body: ownOffer,
  });
  const body = await answer.text();
  if (answer.status !== 201) throw new Error(`${answer.status}: ${body}`);
  const places = placesOf(body);
  const transport = await connect(body, places[0]);
  return {
    places,
    place: places[0]!,
    transport,
    async [Symbol.asyncDispose]() {
      transport.close();
      await fetch(new URL(answer.headers.get("location")!, answer.url), { method: "DELETE" });
    },
  };
}
