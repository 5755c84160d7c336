// A viewer that costs little ({@link LoadMedia}) and plays by WHEP; when its session ends it asks the router again.
import { LoadMedia, ownDescription, type LoadMediaOptions } from "./load-media.ts";
import { whepOffer } from "./whep-viewer.ts";

/** As players wait before they ask again after a refusal. */
const againMs = 500;

export class LoadWhepViewer extends LoadMedia {
  /** Nodes it played from, by origin of its session's URL, in order. */
  readonly nodes: string[] = [];
  /** Requests that were not answered with a session. */
  readonly failures: string[] = [];
  readonly #url: string;
  #session: URL | undefined;

  private constructor(url: string, options: LoadMediaOptions) {
    super(options, () => void this.#ask());
    this.#url = url;
  }

  /**
   * Clicks on `play`: resolves when the first picture is complete and genuine.
   * @param url `http://router/app/stream/whep`
   * @param onOpen gets it at once: somebody has to call {@link tick}
   */
  static async join(
    url: string,
    options: LoadMediaOptions,
    onOpen: (viewer: LoadWhepViewer) => void,
  ): Promise<LoadWhepViewer> {
    const viewer = new LoadWhepViewer(url, options);
    onOpen(viewer);
    await viewer.#ask();
    await viewer.pictured;
    return viewer;
  }

  async leaveForGood(): Promise<void> {
    this.close();
    if (this.#session) await fetch(this.#session, { method: "DELETE" }).catch(() => {});
  }

  async #ask(): Promise<void> {
    this.leave();
    while (!this.isOver) {
      try {
        return await this.#open();
      } catch (thrown) {
        this.failures.push(thrown instanceof Error ? thrown.message : String(thrown));
        await new Promise((resolve) => setTimeout(resolve, againMs));
      }
    }
  }

  async #open(): Promise<void> {
    const answer = await fetch(this.#url, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: whepOffer(ownDescription),
    });
    const body = await answer.text();
    this.steps.push(["answered", performance.now()]);
    if (answer.status !== 201) throw new Error(`${answer.status} of ${new URL(answer.url).origin}: ${body.trim()}`);
    this.#session = new URL(answer.headers.get("location")!, answer.url);
    this.nodes.push(this.#session.origin);
    const one = (pattern: RegExp, text = body): string => pattern.exec(text)?.[1] ?? "";
    const [, address, port] = /^a=candidate:\S+ 1 udp \d+ (\S+) (\d+)/im.exec(body) ?? [];
    if (address === undefined) throw new Error("the answer has no candidate");
    const video = body.split(/(?=^m=)/m).find((section) => section.startsWith("m=video"));
    const place = { ufrag: one(/^a=ice-ufrag:(\S+)/m), pwd: one(/^a=ice-pwd:(\S+)/m), address, port: Number(port) };
    this.goTo(place, Number(one(/^a=ssrc:(\d+)/m, video)));
  }
}
