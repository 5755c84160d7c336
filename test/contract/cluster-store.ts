/** What every store keeps, whoever keeps it: run with each adapter and each server. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { ClusterStore, NodeStore, StreamClaim } from "../../media-node/cluster/store/contract.ts";
import { until } from "../support/until.ts";
import {
  audienceKeys,
  courseKey,
  epochKey,
  nodeLeasesKey,
  nodeRecordsKey,
  storeLimits,
  streamKeys,
} from "../../media-node/cluster/store/keys.ts";

export interface StoreUnderTest {
  /** A store as another process would have it: connection and memory of its own. The harness closes it. */
  connect(): Promise<NodeStore>;
  /** Past the adapter, to play an OvenMediaEngine peer or to let a lease run out. */
  raw(...command: readonly string[]): Promise<unknown>;
  close(): Promise<void>;
}

export function clusterStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  void describe(`store contract: ${name}`, () => {
    let under: StoreUnderTest;
    let [a, b]: NodeStore[] = [];
    let count = 0;
    const scene = (): Scene => new Scene(under, a!, b!, `stream ${++count} 100%`);

    before(async () => {
      under = await open();
      [a, b] = [await under.connect(), await under.connect()];
    });
    after(async () => under?.close());

    claims(scene);
    plainKey(scene);
    lookups(scene);
    nodes(scene);
    poison(scene);
    epochs(scene);
    courses(scene);
    audiences(scene);
  });
}

function promise(name: string, keep: () => Promise<void>): void {
  void test(name, keep);
}

/** A stream of its own for each test, two origins, and hands on the raw keys. */
class Scene {
  readonly under: StoreUnderTest;
  readonly a: NodeStore;
  readonly b: NodeStore;
  readonly claimA: StreamClaim;
  readonly claimB: StreamClaim;
  readonly keys: ReturnType<typeof streamKeys>;

  constructor(under: StoreUnderTest, a: NodeStore, b: NodeStore, stream: string) {
    this.under = under;
    this.a = a;
    this.b = b;
    const name = { vhost: "default", app: "app", stream };
    this.claimA = { ...name, url: `ovt://a:9000/app/${stream}`, owner: "owner-a" };
    this.claimB = { ...name, url: `ovt://b:9000/app/${stream}`, owner: "owner-b" };
    this.keys = streamKeys(name);
  }

  raw(...command: readonly string[]): Promise<unknown> {
    return this.under.raw(...command);
  }

  async epoch(store: ClusterStore, claim: StreamClaim): Promise<number> {
    const result = await store.claim(claim);
    assert.equal(result.kind, "owner");
    return result.kind === "owner" ? result.epoch : 0;
  }

  /** Where viewers are written now. */
  async presentKey(): Promise<string> {
    for (const key of audienceKeys(this.claimA)) if (Number(await this.raw("PTTL", key)) > 0) return key;
    throw new Error("nobody was told of");
  }

  /** As if the present span of the stream's audience were over. */
  async nextSpan(): Promise<void> {
    const keys = audienceKeys(this.claimA);
    const present = await this.presentKey();
    await this.raw("RENAME", present, keys[(keys.indexOf(present) + 2) % 3]!);
  }

  /** As if the owner had been silent for longer than its lease. */
  async letLapse(claim: StreamClaim): Promise<void> {
    const mark = String(await this.raw("HGET", this.keys.origins, claim.url));
    const [, rank, owner] = mark.split(" ");
    await this.raw("HSET", this.keys.origins, claim.url, `1 ${rank} ${owner}`);
    if ((await this.raw("GET", this.keys.plain)) === claim.url) {
      await this.raw("DEL", this.keys.plain, this.keys.plainMark);
    }
  }
}

function claims(scene: () => Scene): void {
  promise("gives a stream to the first, and keeps the second on standby", async () => {
    const { a, b, claimA, claimB } = scene();
    const first = await a.claim(claimA);
    assert.equal(first.kind, "owner");
    assert.deepEqual(await b.claim(claimB), { kind: "standby", ownerUrl: claimA.url });
    assert.deepEqual(await a.claim(claimA), first, "a renewal keeps the epoch");
  });

  promise("passes a stream on when its owner gives it up, with a higher epoch", async () => {
    const { a, b, claimA, claimB, ...at } = scene();
    const first = await a.claim(claimA);
    await b.claim(claimB);
    await a.release(claimA);
    assert.deepEqual(await b.lookup(claimB), [claimB.url], "the standby stands first at once");
    const second = await b.claim(claimB);
    assert.ok(first.kind === "owner" && second.kind === "owner" && second.epoch > first.epoch);
    assert.equal(await at.under.raw("GET", at.keys.plain), claimB.url);
  });

  promise("passes a stream on when its owner's lease runs out, and refuses the sleeper's return", async () => {
    const it = scene();
    const first = await it.epoch(it.a, it.claimA);
    await it.b.claim(it.claimB);
    await it.letLapse(it.claimA);
    const second = await it.epoch(it.b, it.claimB);
    assert.ok(second > first);
    assert.deepEqual(await it.a.claim(it.claimA), { kind: "standby", ownerUrl: it.claimB.url });
    assert.equal(await it.epoch(it.b, it.claimB), second, "the owner stays");
    assert.equal(await it.raw("GET", it.keys.plain), it.claimB.url);
  });

  promise("makes the longest waiting standby the owner, whoever asks first", async () => {
    const it = scene();
    const claimC = { ...it.claimA, url: "ovt://c:9000/app/x", owner: "owner-c" };
    await it.a.claim(it.claimA);
    await it.b.claim(it.claimB);
    await it.b.claim(claimC);
    await it.letLapse(it.claimA);
    assert.deepEqual(await it.b.claim(claimC), { kind: "standby", ownerUrl: it.claimB.url });
    assert.deepEqual(await it.a.lookup(it.claimA), [it.claimB.url, claimC.url]);
    assert.equal((await it.b.claim(it.claimB)).kind, "owner");
  });

  promise("lets a process that restarted take its predecessor's place, and refuses the predecessor", async () => {
    const it = scene();
    const restarted = { ...it.claimA, owner: "owner-a-2" };
    const first = await it.epoch(it.a, it.claimA);
    await it.b.claim(it.claimB);
    const second = await it.epoch(it.b, restarted);
    assert.ok(second > first);
    assert.equal((await it.a.claim(it.claimA)).kind, "standby");
    await it.a.release(it.claimA);
    assert.equal(await it.epoch(it.b, restarted), second, "neither write nor delete of the predecessor counts");
    assert.deepEqual(await it.a.lookup(it.claimA), [it.claimA.url, it.claimB.url]);
  });

  promise("ignores a release by someone who does not hold the claim", async () => {
    const it = scene();
    await it.a.claim(it.claimA);
    await it.b.release(it.claimB);
    await it.b.release({ ...it.claimA, owner: "owner-b" });
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url]);
    assert.equal(await it.raw("GET", it.keys.plain), it.claimA.url);
  });

  promise("raises the epoch even when the store has lost everything", async () => {
    const it = scene();
    const first = await it.epoch(it.a, it.claimA);
    await it.raw("DEL", it.keys.origins, it.keys.plain, it.keys.plainMark);
    assert.ok((await it.epoch(it.a, it.claimA)) > first);
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url]);
  });

  promise("keeps vhosts apart", async () => {
    const it = scene();
    const other = { ...it.claimB, vhost: "other/v%" };
    assert.equal((await it.a.claim(it.claimA)).kind, "owner");
    assert.equal((await it.b.claim(other)).kind, "owner");
    assert.deepEqual(await it.b.lookup(other), [other.url]);
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url]);
    assert.deepEqual(await it.b.lookup({ ...other, vhost: "third" }), [], "nor by OvenMediaEngine's key");
  });

  promise("bounds the origins of one stream", async () => {
    const it = scene();
    const claims = Array.from({ length: storeLimits.originsPerStream + 4 }, (_, index) => ({
      ...it.claimA,
      url: `ovt://o${index}:9000/app/x`,
      owner: `owner-${index}`,
    }));
    for (const claim of claims) await it.a.claim(claim);
    const urls = claims.map(({ url }) => url);
    assert.deepEqual(await it.b.lookup(it.claimA), urls.slice(0, storeLimits.originsPerStream));
  });
}

function plainKey(scene: () => Scene): void {
  promise("writes OvenMediaEngine's key for the owner alone, for ten seconds", async () => {
    const it = scene();
    await it.a.claim(it.claimA);
    await it.b.claim(it.claimB);
    assert.equal(await it.raw("GET", it.keys.plain), it.claimA.url);
    const leftMs = Number(await it.raw("PTTL", it.keys.plain));
    assert.ok(leftMs > 5_000 && leftMs <= 10_000, String(leftMs));
    await it.a.release(it.claimA);
    await it.b.release(it.claimB);
    assert.equal(await it.raw("GET", it.keys.plain), null);
  });

  promise("leaves another origin's live value alone and stands by", async () => {
    const it = scene();
    const foreign = "ovt://ome:9000/app/x";
    await it.raw("SET", it.keys.plain, foreign, "EX", "10");
    assert.deepEqual(await it.a.claim(it.claimA), { kind: "standby", ownerUrl: foreign });
    assert.equal(await it.raw("GET", it.keys.plain), foreign);
    await it.a.release(it.claimA);
    assert.equal(await it.raw("GET", it.keys.plain), foreign, "nor deletes it");
    await it.a.claim(it.claimA);
    await it.raw("DEL", it.keys.plain);
    assert.equal((await it.a.claim(it.claimA)).kind, "owner", "takes over once it is gone");
    assert.equal(await it.raw("GET", it.keys.plain), it.claimA.url);
  });

  promise("adopts a value equal to its own", async () => {
    const it = scene();
    await it.raw("SET", it.keys.plain, it.claimA.url, "EX", "3");
    assert.equal((await it.a.claim(it.claimA)).kind, "owner");
    assert.ok(Number(await it.raw("PTTL", it.keys.plain)) > 5_000);
  });

  promise("does not mistake what is no URL for an owner, and does not overwrite it", async () => {
    const it = scene();
    await it.raw("SET", it.keys.plain, `/app/${it.claimA.stream}`, "EX", "10");
    assert.equal((await it.a.claim(it.claimA)).kind, "owner");
    assert.equal(await it.raw("GET", it.keys.plain), `/app/${it.claimA.stream}`);
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url]);
  });
}

function lookups(scene: () => Scene): void {
  promise("finds nothing for a stream nobody claims", async () => {
    const { a, claimA } = scene();
    assert.deepEqual(await a.lookup(claimA), []);
    assert.deepEqual((await a.snapshot(claimA)).origins, []);
  });

  promise("finds our claims first, then what an OvenMediaEngine origin or a person wrote", async () => {
    const it = scene();
    await it.a.claim(it.claimA);
    await it.b.claim(it.claimB);
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url, it.claimB.url]);
    await it.raw("SET", it.keys.plain, "rtsp://camera/é 1", "EX", "10");
    const expected = [it.claimA.url, it.claimB.url, "rtsp://camera/é 1"];
    assert.deepEqual(await it.b.lookup(it.claimA), expected);
    assert.deepEqual((await it.b.snapshot(it.claimA)).origins, expected);
  });
}

function nodes(scene: () => Scene): void {
  promise("shows every node record with the stream's origins and the store's time in one reading", async () => {
    const it = scene();
    await it.a.claim(it.claimA);
    const putMs = await it.a.putNode("node é 1", "record é 1");
    const readMs = (await it.b.snapshot({ vhost: "v", app: "a", stream: "s" })).nowMs;
    assert.ok(putMs <= readMs && readMs - putMs < 10_000, "a node learns the clock that readers go by");
    await it.b.putNode("node-2", '{"signed":"record 2"}');
    await it.a.putNode("node é 1", "record é 1, newer");
    const snapshot = await it.b.snapshot(it.claimA);
    assert.deepEqual(snapshot.nodes.toSorted(), ["record é 1, newer", '{"signed":"record 2"}'].toSorted());
    assert.deepEqual(snapshot.origins, [it.claimA.url]);
    assert.ok(Math.abs(snapshot.nowMs - Date.now()) < 60_000);
    await it.a.dropNode("node é 1");
    await it.a.dropNode("node é 1");
    assert.deepEqual((await it.b.snapshot(it.claimA)).nodes, ['{"signed":"record 2"}']);
    await it.b.dropNode("node-2");
    assert.deepEqual((await it.b.snapshot(it.claimA)).nodes, []);
  });

  promise("forgets a node whose lease ran out, and one whose lease ends absurdly late", async () => {
    const it = scene();
    for (const id of ["late", "early", "good"]) await it.a.putNode(id, `record of ${id}`);
    const now = (await it.a.snapshot(it.claimA)).nowMs;
    await it.raw("ZADD", nodeLeasesKey, String(now - 1), "early");
    await it.raw("ZADD", nodeLeasesKey, String(now + 3_600_000), "late");
    assert.deepEqual((await it.a.snapshot(it.claimA)).nodes, ["record of good"]);
    await it.a.putNode("good", "record of good");
    assert.deepEqual(await it.raw("HLEN", nodeRecordsKey), 1);
    await it.a.dropNode("good");
  });
}

function poison(scene: () => Scene): void {
  promise("survives keys of another kind and heals them", async () => {
    const it = scene();
    await it.a.claim(it.claimA);
    await it.a.putNode("n", "record");
    const { origins, plain, plainMark } = it.keys;
    for (const key of [origins, plain, plainMark, nodeRecordsKey, nodeLeasesKey]) {
      await it.raw("DEL", key);
      await it.raw(...(key === plain || key === plainMark ? ["HSET", key, "f", "v"] : ["SET", key, "poison"]));
    }
    assert.deepEqual(await it.b.lookup(it.claimA), []);
    const { nodes, origins: urls } = await it.b.snapshot(it.claimA);
    assert.deepEqual([nodes, urls], [[], []]);
    await it.a.dropNode("n");
    await it.a.release(it.claimA);
    assert.equal((await it.a.claim(it.claimA)).kind, "owner");
    await it.a.putNode("n", "record");
    assert.deepEqual((await it.b.snapshot(it.claimA)).origins, [it.claimA.url]);
    assert.deepEqual((await it.b.snapshot(it.claimA)).nodes, ["record"]);
    await it.a.dropNode("n");
    await it.raw("DEL", plain, plainMark);
  });

  promise("counts a claim of the wrong shape as absent", async () => {
    const it = scene();
    const { nowMs } = await it.a.snapshot(it.claimA);
    const ends = String(nowMs + 5_000);
    const planted = {
      "ovt://1/a/b": "nonsense",
      "ovt://2/a/b": `${ends} 1`,
      "ovt://3/a/b": `${nowMs + 60_000} 1 owner`,
      "ovt://4/a/b": `${ends} ${"9".repeat(300)} owner`,
      "ovt://5/a/b": `-1 1 owner`,
      "no url": `${ends} 1 owner`,
      [`ovt://${"x".repeat(storeLimits.urlBytes)}`]: `${ends} 1 owner`,
      epoch: `${"9".repeat(300)} owner`,
    };
    for (const [field, mark] of Object.entries(planted)) await it.raw("HSET", it.keys.origins, field, mark);
    assert.deepEqual(await it.b.lookup(it.claimA), []);
    const result = await it.a.claim(it.claimA);
    assert.ok(result.kind === "owner" && Number.isSafeInteger(result.epoch));
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url]);
    assert.equal(await it.raw("HLEN", it.keys.origins), 2, "the claim and the epoch");
  });

  promise("begins anew where a hash was flooded", async () => {
    const it = scene();
    for (let index = 0; index < 5 * storeLimits.originsPerStream; index++) {
      await it.raw("HSET", it.keys.origins, `ovt://${index}/a/b`, "1 1 owner");
    }
    assert.deepEqual(await it.b.lookup(it.claimA), []);
    assert.equal((await it.a.claim(it.claimA)).kind, "owner");
    assert.deepEqual(await it.b.lookup(it.claimA), [it.claimA.url]);
  });

  promise("refuses what it could not keep apart or bring back", async () => {
    const { a, claimA } = scene();
    await assert.rejects(a.claim({ ...claimA, stream: "a/b" }), RangeError);
    await assert.rejects(a.claim({ ...claimA, url: "no url" }), RangeError);
    await assert.rejects(a.claim({ ...claimA, owner: "two words" }), RangeError);
    await assert.rejects(a.claim({ ...claimA, url: `ovt://${"x".repeat(storeLimits.urlBytes)}` }), RangeError);
    await assert.rejects(a.lookup({ ...claimA, app: "" }), RangeError);
    await assert.rejects(a.putNode("n", "x".repeat(storeLimits.recordBytes + 1)), RangeError);
  });
}

function epochs(scene: () => Scene): void {
  promise("the epoch that was measured first holds for all, until the source begins anew", async () => {
    const { a, b, claimA } = scene();
    const first = await a.agreeEpoch(claimA, "source", 5_000);
    // Half a second later it shows half a second more, and a network's whim.
    assert.equal(await b.agreeEpoch(claimA, "source", 5_700), first);
    assert.equal(await a.agreeEpoch(claimA, "source", 5_900, first), first);
    const anew = await b.agreeEpoch(claimA, "source", 0);
    assert.ok(anew - first >= 5_000 && anew - first < 60_000, `${anew - first} ms`);
    assert.equal(await a.agreeEpoch(claimA, "source", 100), anew);
    assert.equal((await a.agreeEpoch(claimA, "another", 700_000)) < first, true);
  });

  promise("a store that forgot takes the epoch that a node goes by; what else stands there is no epoch", async () => {
    const { a, b, claimA, raw } = withRaw(scene());
    const first = await a.agreeEpoch(claimA, "source", 5_000);
    const key = epochKey(claimA, "source");
    assert.ok(Number(await raw("PTTL", key)) > 500_000);
    await raw("DEL", key);
    assert.equal(await b.agreeEpoch(claimA, "source", 5_400, first), first);
    assert.equal(await a.agreeEpoch(claimA, "source", 5_400), first);
    for (const poison of ["", "x", "1", "99999999999999999999 1", "-1 -1"]) {
      await raw("SET", key, poison);
      assert.equal(await a.agreeEpoch(claimA, "source", 5_400, first), first, poison);
    }
    await raw("DEL", key);
    await raw("HSET", key, "field", "value");
    assert.equal(await a.agreeEpoch(claimA, "source", 5_400, first), first);
  });
}

function courses(scene: () => Scene): void {
  promise("a source that shows another shape to who joins broke off once, however many tell of it", async () => {
    const { a, b, claimA } = scene();
    const joins = (store: NodeStore, shape: string, breaks = 0) =>
      store.agreeCourse(claimA, "source", { shape, breaks, isFollowed: false });
    assert.deepEqual(await joins(a, "one"), { breaks: 0 });
    assert.deepEqual(await joins(b, "one"), { breaks: 0 });
    // Both lost it and come again, at the same time.
    const both = await Promise.all([joins(a, "two", 1), joins(b, "two", 1)]);
    assert.deepEqual(both, [{ breaks: 1 }, { breaks: 1 }]);
    assert.deepEqual(await joins(b, "two"), { breaks: 1 }, "who is new counts as they do");
    assert.deepEqual(await joins(a, "one", 1), { breaks: 2 }, "back to what it was is another break");
    assert.deepEqual(await a.agreeCourse(claimA, "another", { shape: "one", breaks: 3, isFollowed: false }), {
      breaks: 3,
    });
  });

  promise("breaks that were seen are counted once in any order, and a count never goes back", async () => {
    const { a, b, claimA } = scene();
    const saw = (store: NodeStore, shape: string, breaks: number) =>
      store.agreeCourse(claimA, "source", { shape, breaks, isFollowed: true });
    await saw(a, "one", 0);
    assert.deepEqual(await saw(a, "two", 1), { breaks: 1 });
    assert.deepEqual(await saw(a, "three", 2), { breaks: 2 });
    assert.deepEqual(await saw(b, "two", 1), { breaks: 2 }, "the slower one's first break");
    assert.deepEqual(await saw(b, "three", 2), { breaks: 2 });
    assert.deepEqual(await b.agreeCourse(claimA, "source", { shape: "three", breaks: 0, isFollowed: false }), {
      breaks: 2,
    });
  });

  promise(
    "the earliest beginning holds; a store that forgot is told again, and what else stands there is no course",
    async () => {
      const { a, b, claimA, raw } = withRaw(scene());
      const seen = { shape: "one", breaks: 2, isFollowed: true };
      const key = courseKey(claimA, "source");
      assert.deepEqual(await a.agreeCourse(claimA, "source", { ...seen, beganMs: 5_000.7 }), {
        breaks: 2,
        beganMs: 5_000,
      });
      assert.deepEqual(await b.agreeCourse(claimA, "source", { ...seen, beganMs: 7_000 }), {
        breaks: 2,
        beganMs: 5_000,
      });
      assert.deepEqual(await b.agreeCourse(claimA, "source", seen), { breaks: 2, beganMs: 5_000 });
      assert.deepEqual(await b.agreeCourse(claimA, "source", { ...seen, beganMs: 4_000 }), {
        breaks: 2,
        beganMs: 4_000,
      });
      assert.ok(Number(await raw("PTTL", key)) > 500_000);
      for (const poison of ["", "x", "1", "99999999999999999999 1 one", "-1 -1 x", "9 9 !", `1 1 ${"x".repeat(200)}`]) {
        await raw("SET", key, poison);
        assert.deepEqual(
          await a.agreeCourse(claimA, "source", { ...seen, beganMs: 6_000 }),
          { breaks: 2, beganMs: 6_000 },
          poison,
        );
      }
      for (const began of ["-", "-5", "1-2", "99999999999999999999"]) {
        await raw("SET", key, `4 ${began} one`);
        assert.deepEqual(
          await a.agreeCourse(claimA, "source", { ...seen, beganMs: 6_000 }),
          { breaks: 4, beganMs: 6_000 },
          began,
        );
      }
      await raw("DEL", key);
      await raw("HSET", key, "field", "value");
      assert.deepEqual(await a.agreeCourse(claimA, "source", seen), { breaks: 2 });
    },
  );

  promise("refuses a course that it cannot keep", async () => {
    const { a, claimA } = scene();
    const seen = { shape: "one", breaks: 0, isFollowed: true };
    for (const wrong of [
      { shape: "" },
      { shape: "a b" },
      { shape: "x".repeat(65) },
      { breaks: -1 },
      { breaks: 2 ** 40 },
      { beganMs: -1 },
      { beganMs: Number.NaN },
    ])
      await assert.rejects(a.agreeCourse(claimA, "source", { ...seen, ...wrong }), RangeError, JSON.stringify(wrong));
  });
}

/** Ids as long as a viewer's. */
const people = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `viewer-${String(from + i).padStart(6, "0")}`);

function audiences(scene: () => Scene): void {
  promise("a viewer that several nodes tell of is one, when the span is over", async () => {
    const it = scene();
    const name = { ...it.claimA };
    const tellAll = async (): Promise<void> => {
      assert.equal(await it.a.countAudience(name, people(0, 300)), 0, "this span is not over");
      await it.b.countAudience(name, people(200, 450));
      await it.b.countAudience({ ...name, vhost: "another" }, people(0, 7));
      await it.a.countAudience(name, people(0, 300));
    };
    await until("they were told of in one span that is over", 30_000, async () => {
      await it.raw("DEL", ...audienceKeys(name));
      await tellAll();
      await it.nextSpan();
      const counts = [await it.a.countAudience(name, []), await it.b.countAudience(name, people(0, 1))];
      // A span that ended by itself meanwhile is tried again.
      return counts.every((count) => count > 0) && (assertAbout(counts[0]!, 450), assertAbout(counts[1]!, 450), true);
    });
  });

  promise("nobody's span goes by itself; what else stands there counts nobody and blocks nobody", async () => {
    const it = scene();
    await until("within one span", 30_000, async () => {
      await it.raw("DEL", ...audienceKeys(it.claimA));
      for (const key of audienceKeys(it.claimA)) await it.raw("SET", key, "poison");
      assert.equal(await it.a.countAudience(it.claimA, people(0, 5)), 0);
      const leftMs = Number(await it.raw("PTTL", await it.presentKey()));
      assert.ok(leftMs > 9_000 && leftMs <= 20_000, `${leftMs} ms`);
      await it.nextSpan();
      return (await it.b.countAudience(it.claimA, [])) === 5;
    });
  });

  promise("ids beyond a call's measure are refused", async () => {
    const { a, claimA } = scene();
    await assert.rejects(a.countAudience(claimA, people(0, storeLimits.audienceIds + 1)), RangeError);
    await assert.rejects(a.countAudience(claimA, ["x".repeat(storeLimits.nameBytes + 1)]), RangeError);
  });
}

/** Redis estimates: 0.8 % is its standard error. */
function assertAbout(count: number, wanted: number): void {
  assert.ok(Math.abs(count - wanted) <= wanted * 0.03, `${count} instead of ${wanted}`);
}

const withRaw = (scene: Scene) => ({
  a: scene.a,
  b: scene.b,
  claimA: scene.claimA,
  raw: (...command: readonly string[]) => scene.raw(...command),
});
