import {
  StoreUnavailable,
  type ClaimResult,
  type ClusterSnapshot,
  type ClusterStreamName,
  type Course,
  type CourseSeen,
  type NodeStore,
  type StreamClaim,
} from "./contract.ts";
import {
  agreeCourseCall,
  agreeEpochCall,
  claimCall,
  countAudienceCall,
  dropNodeCall,
  lookupCall,
  putNodeCall,
  releaseCall,
  snapshotCall,
  type ScriptCall,
} from "./script-calls.ts";
import { parseClaim, parseCount, parseCourse, parseSnapshot, parseUrls } from "./script-replies.ts";

/** Where scripts run: the part that differs between a socket and REST. */
export interface ScriptRunner {
  /** @throws {StoreUnavailable} when there was no answer in time, or an error */
  run(call: ScriptCall): Promise<unknown>;
  close(): void | Promise<void>;
}

/** Epochs remembered at most; past it the longest unused goes, and its process counts as newly started. */
const epochsRemembered = 100_000;

/** The whole store contract over anything that can run scripts. */
export function scriptStore(runner: ScriptRunner): NodeStore {
  return new ScriptStore(runner);
}

class ScriptStore implements NodeStore {
  readonly #runner: ScriptRunner;
  /** Highest epoch told to an owner for a stream: what tells a sleeper from a newcomer (see `claimScript`). */
  readonly #epochs = new Map<string, number>();

  constructor(runner: ScriptRunner) {
    this.#runner = runner;
  }

  async claim(claim: StreamClaim): Promise<ClaimResult> {
    const key = JSON.stringify([claim.vhost, claim.app, claim.stream, claim.owner]);
    const { result, epoch } = parseClaim(await this.#runner.run(claimCall(claim, this.#epochs.get(key) ?? 0)));
    this.#remember(key, epoch);
    return result;
  }

  async release(claim: StreamClaim): Promise<void> {
    await this.#runner.run(releaseCall(claim));
  }

  async lookup(name: ClusterStreamName): Promise<readonly string[]> {
    return parseUrls(await this.#runner.run(lookupCall(name)));
  }

  async snapshot(name: ClusterStreamName): Promise<ClusterSnapshot> {
    return parseSnapshot(await this.#runner.run(snapshotCall(name)));
  }

  async putNode(id: string, signedRecord: string): Promise<number> {
    const nowMs = parseCount(await this.#runner.run(putNodeCall(id, signedRecord)));
    if (nowMs === 0) throw new StoreUnavailable("the store holds too many nodes");
    return nowMs;
  }

  async dropNode(id: string): Promise<void> {
    await this.#runner.run(dropNodeCall(id));
  }

  async agreeEpoch(name: ClusterStreamName, source: string, mediaMs: number, heldMs?: number): Promise<number> {
    const epochMs = parseCount(await this.#runner.run(agreeEpochCall(name, source, mediaMs, heldMs)));
    if (epochMs === 0) throw new StoreUnavailable("the store answered no time");
    return epochMs;
  }

  async agreeCourse(name: ClusterStreamName, source: string, seen: CourseSeen): Promise<Course> {
    return parseCourse(await this.#runner.run(agreeCourseCall(name, source, seen)));
  }

  async countAudience(name: ClusterStreamName, viewers: readonly string[]): Promise<number> {
    return parseCount(await this.#runner.run(countAudienceCall(name, viewers)));
  }

  async close(): Promise<void> {
    await this.#runner.close();
  }

  #remember(key: string, epoch: number): void {
    const highest = Math.max(epoch, this.#epochs.get(key) ?? 0);
    this.#epochs.delete(key);
    this.#epochs.set(key, highest);
    if (this.#epochs.size > epochsRemembered) this.#epochs.delete(this.#epochs.keys().next().value!);
  }
}
