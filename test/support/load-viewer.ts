// A viewer that costs little ({@link LoadMedia}) and speaks OvenMediaEngine's signalling.
import { once } from "node:events";
import { WebSocket } from "ws";
import { LoadMedia, ownDescription, type LoadMediaOptions } from "./load-media.ts";

const own = ownDescription;
/** Of a machine that does much else at the same time. */
const answerMs = 30_000;

interface Offer {
  readonly id: number;
  readonly sdp: { readonly sdp: string };
  readonly candidates: readonly { readonly candidate: string }[];
}

export class LoadViewer extends LoadMedia {
  /** How often the signalling told it to stop and ask anew: it was moved to another node. */
  moves = 0;
  /** What the signalling refused, and that it ended. */
  readonly failures: string[] = [];
  #web!: WebSocket;

  private constructor(options: LoadMediaOptions) {
    // What counts is what the signalling says.
    super(options, () => {});
  }

  /**
   * Clicks on `play`: resolves when the first picture is complete and genuine.
   * @param onOpen gets it at once: somebody has to call {@link tick}
   */
  static async join(url: string, options: LoadMediaOptions, onOpen: (viewer: LoadViewer) => void): Promise<LoadViewer> {
    const viewer = new LoadViewer(options);
    onOpen(viewer);
    await viewer.#join(url);
    return viewer;
  }

  /** Closes the page: the signalling socket ends, nothing else is said. */
  override close(): void {
    super.close();
    this.#web.terminate();
  }

  async #join(url: string): Promise<void> {
    this.#web = new WebSocket(url);
    this.#web.on("error", () => {});
    await once(this.#web, "open");
    const timedOut = Promise.withResolvers<never>();
    const timer = setTimeout(() => timedOut.reject(new Error("no picture in time")), answerMs);
    const fail = (error: string): void => {
      if (this.isOver) return;
      this.failures.push(error);
      timedOut.reject(new Error(error));
    };
    this.#web.on("close", (code: number) => fail(`the signalling was closed with ${code}`));
    this.#web.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString("utf8")) as { command?: string; code?: number; error?: string };
      if (message.error !== undefined) fail(message.error);
      else if (message.command === "offer") this.#answer(message as unknown as Offer);
      else if (message.command === "stop") this.#startAnew();
    });
    this.#web.send('{"command":"request_offer"}');
    try {
      await Promise.race([this.pictured, timedOut.promise]);
    } finally {
      clearTimeout(timer);
      timedOut.promise.catch(() => {});
    }
  }

  /** As OvenPlayer does when it is told to stop: the connection goes, the socket stays, and an offer is asked for again. */
  #startAnew(): void {
    this.moves++;
    this.leave();
    this.#web.send('{"command":"request_offer"}');
  }

  #answer({ id, sdp, candidates }: Offer): void {
    this.steps.push(["offered", performance.now()]);
    const one = (pattern: RegExp, text = sdp.sdp): string => pattern.exec(text)?.[1] ?? "";
    const udp = candidates
      .map(({ candidate }) => candidate.split(" "))
      .find(([, , protocol]) => /udp/i.test(protocol!))!;
    const { ufrag, pwd } = { ufrag: one(/a=ice-ufrag:(\S+)/), pwd: one(/a=ice-pwd:(\S+)/) };
    const [head, ...sections] = sdp.sdp.split(/(?=^m=)/m);
    const videoSsrc = Number(
      one(
        /a=ssrc:(\d+)/,
        sections.find((section) => section.startsWith("m=video")),
      ),
    );
    const kept = /^(m=|c=|a=(mid|rtpmap|fmtp|rtcp-fb|rtcp-mux))/;
    const ours = ["a=recvonly", "a=setup:active", `a=ice-ufrag:${own.ufrag}`, `a=ice-pwd:${own.pwd}`].concat(
      `a=fingerprint:${own.fingerprint}`,
    );
    const answer = [
      "v=0",
      "o=- 1 1 IN IP4 127.0.0.1",
      "s=-",
      "t=0 0",
      one(/^(a=group:.*)$/m, head),
      ...sections.flatMap((section) => [...section.split(/\r?\n/).filter((line) => kept.test(line)), ...ours]),
      "",
    ].join("\r\n");
    this.#web.send(JSON.stringify({ command: "answer", id, peer_id: 0, sdp: { type: "answer", sdp: answer } }));
    this.goTo({ ufrag, pwd, address: udp[4]!, port: Number(udp[5]) }, videoSsrc);
  }
}
