// Everybody who watches a cluster whose edges go on purpose. WebRTC: by managed signalling, every fourth by WHEP. LL-HLS:
// steered, every third knows its URL alone. Each protocol's viewers live in a process of their own.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { CrowdMember, CrowdOrder, CrowdState } from "./drain-crowd-process.ts";
import { until } from "./until.ts";

/** Who join at the same time: a machine that runs the whole cluster takes no rush. */
const atOnce = 20;
const joinMs = 90_000;

class Crowd {
  readonly process: ChildProcess = fork(fileURLToPath(new URL("drain-crowd-process.ts", import.meta.url)));
  readonly #asked = new Map<number, (state: CrowdState) => void>();
  #last = 0;
  size = 0;

  constructor() {
    this.process.on("message", (state: CrowdState) => {
      this.#asked.get(state.id)?.(state);
      this.#asked.delete(state.id);
    });
  }

  send(order: CrowdOrder): void {
    if (order.kind === "join") this.size++;
    this.process.send(order);
  }

  ask(kind: "ask" | "leave" = "ask"): Promise<CrowdState> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#asked.set(id, resolve);
      this.process.once("exit", () => reject(new Error("the viewers' process ended")));
      this.process.setMaxListeners(0);
      this.send({ kind, id });
    });
  }
}

/** How all of them are. */
export interface AudienceState {
  readonly webRtc: readonly CrowdMember[];
  readonly hls: readonly CrowdMember[];
  readonly failures: readonly string[];
  readonly skips: readonly string[];
  readonly requests: number;
  readonly pauses: readonly number[];
  /** Seconds of CPU that the viewers' processes have used: WebRTC, LL-HLS. */
  readonly cpuSeconds: readonly [number, number];
}

export class DrainAudience {
  readonly #url: string;
  readonly #webRtc = new Crowd();
  readonly #hls = new Crowd();

  /** @param router its URL */
  constructor(router: string) {
    this.#url = `${router}/app/stream`;
  }

  /** Resolves when all of them play, and none has failed. */
  async gather({ webRtc, hls }: { readonly webRtc: number; readonly hls: number }): Promise<void> {
    for (let from = 0; from < Math.max(webRtc, hls); from += atOnce) {
      for (let at = from; at < from + atOnce; at++) {
        if (at < webRtc) this.#joinWebRtc(at);
        if (at >= hls) continue;
        const url = `${this.#url}/llhls.m3u8${at % 3 === 2 ? "" : "?steering=1"}`;
        this.#hls.send({ kind: "join", as: "hls", url });
      }
      let state: AudienceState | undefined;
      const playing = until("everybody watches", joinMs, async () => {
        state = await this.ask();
        assert.deepEqual(state.failures, []);
        const all = [...state.webRtc, ...state.hls];
        return all.length === this.#webRtc.size + this.#hls.size && all.every(({ lastMs }) => lastMs !== null);
      });
      await playing;
    }
    // What went wrong before is another test's.
    for (const crowd of [this.#webRtc, this.#hls]) crowd.send({ kind: "forget" });
  }

  async ask(): Promise<AudienceState> {
    const [webRtc, hls] = await Promise.all([this.#webRtc.ask(), this.#hls.ask()]);
    return {
      webRtc: webRtc.members,
      hls: hls.members,
      failures: [...webRtc.failures, ...hls.failures],
      skips: hls.skips,
      requests: hls.requests,
      pauses: [...webRtc.pauses, ...hls.pauses],
      cpuSeconds: [webRtc.cpuSeconds, hls.cpuSeconds],
    };
  }

  /** Resolves when every viewer got media after now. */
  async playOn(): Promise<void> {
    const nowMs = performance.timeOrigin + performance.now();
    await until("everybody plays on", 5_000, async () => {
      const { webRtc, hls } = await this.ask();
      return [...webRtc, ...hls].every(({ lastMs }) => lastMs !== null && lastMs > nowMs);
    });
  }

  async close(): Promise<void> {
    const close = async (crowd: Crowd): Promise<void> => {
      if (crowd.process.exitCode !== null) return;
      const exited = once(crowd.process, "exit");
      await crowd.ask("leave").catch(() => {});
      await exited;
    };
    await Promise.all([close(this.#webRtc), close(this.#hls)]);
  }

  #joinWebRtc(at: number): void {
    if (at % 4 === 3) return this.#webRtc.send({ kind: "join", as: "whep", url: `${this.#url}/whep` });
    const url = `${this.#url.replace("http", "ws")}?managed=1`;
    this.#webRtc.send({ kind: "join", as: "signalled", url });
  }
}
