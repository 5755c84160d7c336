import assert from "node:assert/strict";
import { streamKeys, streamLeaseMs } from "../../media-node/cluster/store/keys.ts";
import type { ScriptCall } from "../../media-node/cluster/store/script-calls.ts";
import { lookupCall } from "../../media-node/cluster/store/script-calls.ts";
import { claimScript, releaseScript } from "../../media-node/cluster/store/scripts.ts";
import { parseClaim, parseUrls } from "../../media-node/cluster/store/script-replies.ts";
import { scriptStore } from "../../media-node/cluster/store/script-store.ts";
import {
  StoreUnavailable,
  type ClaimResult,
  type ClusterStore,
  type StreamClaim,
} from "../../media-node/cluster/store/contract.ts";
import { OmePeer } from "./ome-peer.ts";

/** The store as the world moves it: with a clock of its own, that can be lost, set back, and jump. */
export interface ModelStore {
  readonly run: (call: ScriptCall) => Promise<unknown>;
  readonly ask: (...command: readonly string[]) => Promise<unknown>;
  /** Moves its clock; keys whose time is up go. */
  readonly advance: (ms: number) => Promise<void>;
  /** A copy of everything it holds; given back, it has lost what came after. */
  readonly save: () => Promise<() => Promise<void>>;
  readonly clear: () => Promise<void>;
}

export interface WorldFaults {
  /** Redis restarts empty, loses its last writes in a failover, jumps in time. */
  readonly inStore: boolean;
  /** An OvenMediaEngine origin serves the same stream. */
  readonly omePeer: boolean;
}

const renewMs = 2_500;
const retryMs = 1_500;
const name = { vhost: "default", app: "app", stream: "s" };
const omeUrl = "ovt://ome:9000/app/s";
/** Made once: they are looked at in every step. */
const keys = streamKeys(name);
const lookup = lookupCall(name);

interface Origin {
  claim: StreamClaim;
  store: ClusterStore;
  isAlive: boolean;
  isReleased: boolean;
  pausedUntilMs: number;
  cutUntilMs: number;
  nextMs: number;
  /** Until when this process may believe that the stream is its own. */
  believesUntilMs: number;
}

interface Grant {
  readonly owner: string;
  readonly epoch: number;
}

/** Several origins of one stream, everything that can befall them, and what must hold whatever does. */
export class ClaimWorld {
  readonly #store: ModelStore;
  readonly #random: () => number;
  readonly #faults: WorldFaults;
  readonly #origins: Origin[];
  readonly #late: { atMs: number; run: () => Promise<void> }[] = [];
  /** When each URL's claim was last executed; gone when released. */
  readonly #claimedMs = new Map<string, number>();
  readonly #saved: { atMs: number; restore: () => Promise<void> }[] = [];
  #ome: { peer: OmePeer; nextMs: number; isOn: boolean } | undefined;
  #nowMs = 0;
  #storeFaultMs = Number.NEGATIVE_INFINITY;
  #clockWentBack = false;
  #lastGrant: Grant | undefined;
  #births = 0;

  constructor(store: ModelStore, random: () => number, faults: WorldFaults) {
    this.#store = store;
    this.#random = random;
    this.#faults = faults;
    this.#origins = Array.from({ length: 2 + this.#pick(3) }, (_, index) => this.#born(`ovt://o${index}:9000/app/s`));
    if (faults.omePeer) this.#ome = { peer: new OmePeer(store.ask), nextMs: 0, isOn: false };
  }

  /** Lets `ms` pass with faults, then a quiet lease, at whose end everything must be whole. */
  async live(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    while (this.#nowMs < endMs) {
      await this.#pass(this.#pick(1_000));
      if (this.#random() < 0.12) await this.#befall();
      await this.#turn();
    }
    await this.#settle();
  }

  #born(url: string): Origin {
    return {
      claim: { ...name, url, owner: `${url}#${++this.#births}` },
      store: this.#storeOf(() => this.#origins.find(({ claim }) => claim.url === url)!),
      isAlive: true,
      isReleased: false,
      pausedUntilMs: 0,
      cutUntilMs: 0,
      nextMs: this.#nowMs + this.#pick(renewMs),
      believesUntilMs: Number.NEGATIVE_INFINITY,
    };
  }

  /** A process' connection: cut off, it loses the request, or the answer, or the request arrives late. */
  #storeOf(origin: () => Origin): ClusterStore {
    return scriptStore({
      close() {},
      run: async (call) => {
        const { claim, cutUntilMs } = origin();
        if (this.#nowMs >= cutUntilMs) return this.#execute(call, claim);
        const fate = this.#random();
        if (fate < 0.3) await this.#execute(call, claim);
        else if (fate < 0.6) {
          const atMs = this.#nowMs + this.#pick(15_000);
          this.#late.push({ atMs, run: async () => void (await this.#execute(call, claim)) });
        }
        throw new StoreUnavailable("cut off");
      },
    });
  }

  async #execute(call: ScriptCall, claim: StreamClaim): Promise<unknown> {
    const { plain } = keys;
    const before = await this.#store.ask("GET", plain);
    const reply = await this.#store.run(call);
    if (before === omeUrl)
      assert.equal(await this.#store.ask("GET", plain), omeUrl, "a live foreign value was touched");
    if (call.script === claimScript) {
      const mark = await this.#store.ask("HGET", keys.origins, claim.url);
      this.#note(claim, parseClaim(reply), String(mark).endsWith(` ${claim.owner}`));
    }
    if (call.script === releaseScript && reply === 1) this.#claimedMs.delete(claim.url);
    return reply;
  }

  #note(claim: StreamClaim, { result, epoch }: { result: ClaimResult; epoch: number }, isStored: boolean): void {
    if (isStored) this.#claimedMs.set(claim.url, this.#nowMs);
    if (result.kind !== "owner") return;
    const last = this.#lastGrant;
    // What a store has lost it cannot compare with, until those who remember have asked again.
    const mayRepeat = this.#clockWentBack || this.#nowMs - this.#storeFaultMs < streamLeaseMs;
    if (last && !mayRepeat) {
      if (last.owner === claim.owner) assert.ok(epoch >= last.epoch, "the epoch of an owner fell");
      else assert.ok(epoch > last.epoch, `two owners of one epoch: ${last.owner} and ${claim.owner}`);
    }
    this.#lastGrant = { owner: claim.owner, epoch };
  }

  async #pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    await this.#store.advance(ms);
    const due = this.#late.filter(({ atMs }) => atMs <= this.#nowMs);
    for (const { run } of due.toSorted((a, b) => a.atMs - b.atMs)) await run();
    for (const done of due) this.#late.splice(this.#late.indexOf(done), 1);
    if (this.#faults.inStore && this.#random() < 0.2) {
      this.#saved.push({ atMs: this.#nowMs, restore: await this.#store.save() });
      if (this.#saved.length > 8) this.#saved.shift();
    }
  }

  async #turn(): Promise<void> {
    for (const origin of this.#origins) {
      const isRunning = origin.isAlive && !origin.isReleased && this.#nowMs >= origin.pausedUntilMs;
      if (isRunning && this.#nowMs >= origin.nextMs) await this.#renew(origin);
    }
    if (this.#ome && this.#nowMs >= this.#ome.nextMs) {
      this.#ome.nextMs = this.#nowMs + renewMs;
      await this.#ome.peer.refresh();
    }
    await this.#check();
  }

  async #renew(origin: Origin): Promise<void> {
    const startedMs = this.#nowMs;
    try {
      const result = await origin.store.claim(origin.claim);
      origin.believesUntilMs = result.kind === "owner" ? startedMs + streamLeaseMs : Number.NEGATIVE_INFINITY;
      origin.nextMs = startedMs + renewMs;
    } catch (thrown) {
      if (!(thrown instanceof StoreUnavailable)) throw thrown;
      origin.nextMs = startedMs + retryMs;
    }
  }

  async #befall(): Promise<void> {
    const origin = this.#origins[this.#pick(this.#origins.length)]!;
    const fates: (() => void | Promise<void>)[] = [
      () => void (origin.pausedUntilMs = this.#nowMs + this.#pick(30_000)),
      () => void (origin.cutUntilMs = this.#nowMs + this.#pick(30_000)),
      () => this.#restart(origin),
      () => void (origin.isAlive = false),
      () => this.#restart(origin),
      () => this.#release(origin),
      () => this.#toggleOme(),
      ...(this.#faults.inStore
        ? [() => this.#loseAll(), () => this.#loseLatest(), () => this.#jump(), () => this.#jump()]
        : []),
    ];
    await fates[this.#pick(fates.length)]!();
  }

  /** The process ends; another begins at the same address and does not remember. */
  #restart(origin: Origin): void {
    Object.assign(origin, this.#born(origin.claim.url));
  }

  async #release(origin: Origin): Promise<void> {
    if (!origin.isAlive || this.#nowMs < origin.pausedUntilMs) return;
    origin.isReleased = true;
    origin.believesUntilMs = Number.NEGATIVE_INFINITY;
    await origin.store.release(origin.claim).catch(() => {});
  }

  async #toggleOme(): Promise<void> {
    if (!this.#ome) return;
    this.#ome.isOn = !this.#ome.isOn;
    const { plain } = keys;
    if (this.#ome.isOn) await this.#ome.peer.register(plain, omeUrl);
    else await this.#ome.peer.unregister(plain);
  }

  async #loseAll(): Promise<void> {
    this.#storeFaultMs = this.#nowMs;
    await this.#store.clear();
  }

  async #loseLatest(): Promise<void> {
    const saved = this.#saved[this.#pick(this.#saved.length)];
    if (!saved || this.#nowMs - saved.atMs > streamLeaseMs) return;
    this.#storeFaultMs = this.#nowMs;
    await saved.restore();
  }

  async #jump(): Promise<void> {
    this.#storeFaultMs = this.#nowMs;
    const ms = this.#pick(this.#random() < 0.5 ? 8_000 : 7_200_000);
    const isBack = this.#random() < 0.5;
    this.#clockWentBack ||= isBack;
    await this.#store.advance(isBack ? -ms : ms);
  }

  /** What must hold at every moment. */
  async #check(): Promise<void> {
    const urls = parseUrls(await this.#store.run(lookup));
    assert.equal(new Set(urls).size, urls.length);
    const sinceFaultMs = this.#nowMs - this.#storeFaultMs;
    for (const [url, atMs] of this.#claimedMs) {
      const ageMs = this.#nowMs - atMs;
      if (ageMs < streamLeaseMs && atMs > this.#storeFaultMs) assert.ok(urls.includes(url), `${url} was lost`);
      const goneMs = this.#storeFaultMs > Number.NEGATIVE_INFINITY ? 3 * streamLeaseMs : streamLeaseMs;
      if (ageMs > goneMs && sinceFaultMs > goneMs) assert.ok(!urls.includes(url), `${url} outlived its lease`);
    }
    const believers = this.#origins.filter((origin) => origin.isAlive && origin.believesUntilMs > this.#nowMs);
    if (sinceFaultMs > streamLeaseMs) assert.ok(believers.length <= 1, "two processes own the stream");
  }

  /** No faults for a while: whoever lives is found, one of them owns the stream, and all agree on it. */
  async #settle(): Promise<void> {
    for (const origin of this.#origins) {
      origin.cutUntilMs = 0;
      origin.pausedUntilMs = 0;
    }
    for (let passed = 0; passed < 4 * streamLeaseMs; passed += 1_250) {
      await this.#pass(1_250);
      await this.#turn();
    }
    const alive = this.#origins.filter(({ isAlive, isReleased }) => isAlive && !isReleased);
    const urls = parseUrls(await this.#store.run(lookup));
    const ours = urls.filter((url) => url !== omeUrl);
    assert.deepEqual(ours.toSorted(), alive.map(({ claim }) => claim.url).toSorted(), "found are those who live");
    const plain = await this.#store.ask("GET", keys.plain);
    const believers = alive.filter((origin) => origin.believesUntilMs > this.#nowMs);
    // Redis keeps a key by the wall clock: set back, it keeps a dead one, until a live origin writes it.
    const isKeptTooLong = this.#clockWentBack && alive.length === 0;
    if (plain !== omeUrl && !isKeptTooLong) {
      assert.equal(plain, ours[0] ?? null, "OvenMediaEngine's key names the owner");
      assert.equal(believers.length, Math.min(1, alive.length), "one owner");
    }
    assert.ok(believers.every(({ claim }) => claim.url === ours[0]));
  }

  #pick(count: number): number {
    return Math.floor(this.#random() * count);
  }
}
