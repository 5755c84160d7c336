import assert from "node:assert/strict";
import { test } from "node:test";
import { hearthEpochMs } from "../core/epoch.ts";
import type { Sample } from "../core/sample.ts";
import { RtpTimeline } from "../rtp/rtp-timeline.ts";
import { parseSdp } from "../sdp/session-description.ts";
import { MediaReceiver } from "./media-receiver.ts";
import { planSession } from "./media-plan.ts";

const [plan] = planSession(parseSdp("v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n")).media;

/** Deterministic numbers from 0 up to 1 (mulberry32), so that a failing seed replays. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const gop = 8;

/** Picture `index` as fragmented units (RFC 6184 §5.8), and as it should come out. */
function picture(index: number, random: () => number): { payloads: Buffer[]; whole: Buffer } {
  const body = Buffer.alloc(20 + Math.floor(random() * 200), (index & 0x7f) | 1);
  body[0] = 0x88;
  const type = index % gop === 0 ? 5 : 1;
  const payloads: Buffer[] = [];
  for (let at = 0; at < body.length; at += 48) {
    const flags = (at === 0 ? 0x80 : 0) | (at + 48 >= body.length ? 0x40 : 0);
    payloads.push(Buffer.concat([Buffer.of(0x60 | 28, flags | type), body.subarray(at, at + 48)]));
  }
  return { payloads, whole: Buffer.concat([Buffer.of(0, 0, 0, 1, 0x60 | type), body]) };
}

function rtp(payload: Buffer, sequence: number, timestamp: number, marker: boolean): Buffer {
  const head = Buffer.alloc(12);
  head[0] = 0x80;
  head[1] = (marker ? 0x80 : 0) | 96;
  head.writeUInt16BE(sequence & 0xffff, 2);
  head.writeUInt32BE(timestamp >>> 0, 4);
  return Buffer.concat([head, payload]);
}

interface Network {
  readonly loss: number;
  readonly repeats: number;
  /** Packets that may overtake one. */
  readonly disorder: number;
}

function transmit(seed: number, network: Network, reordering?: { maxHeld: number; maxHoldMs: number }) {
  const random = seeded(seed);
  const samples: Sample[] = [];
  const receiver = new MediaReceiver({
    plan: plan!,
    clock: new RtpTimeline({ epochMs: hearthEpochMs }).addTrack(90_000),
    ssrc: 1,
    cname: "test",
    ...(reordering && { reordering }),
    onSample: (sample) => samples.push(sample),
    onTrack() {},
  });
  const sent: Buffer[] = [];
  const packets: { bytes: Buffer; order: number; atMs: number }[] = [];
  let sequence = 65_000;
  for (let index = 0; index < 400; index++) {
    const { payloads, whole } = picture(index, random);
    sent.push(whole);
    for (const [place, payload] of payloads.entries()) {
      const bytes = rtp(payload, sequence++, 0xfffff000 + index * 3_600, place === payloads.length - 1);
      if (random() < network.loss) continue;
      // Where numbering begins is known by its first packet only.
      const order = packets.length + (packets.length < 4 ? 0 : random() * network.disorder);
      packets.push({ bytes, order, atMs: index * 40 });
      if (random() < network.repeats) packets.push({ bytes, order: order + 2, atMs: index * 40 });
    }
  }
  for (const { bytes, atMs } of packets.toSorted((a, b) => a.order - b.order)) {
    receiver.timeout(atMs);
    receiver.receiveRtp(bytes, atMs, hearthEpochMs + atMs);
  }
  receiver.timeout(Number.MAX_SAFE_INTEGER);
  return { samples, sent, counters: receiver.counters };
}

/** Index of each sample's picture: pictures are told apart by their time. */
function indexes(samples: readonly Sample[]): number[] {
  return samples.map(({ pts }) => Math.round((pts - samples[0]!.pts) / 3_600));
}

test("gives out every picture, whatever order and however often packets come", () => {
  for (let seed = 0; seed < 20; seed++) {
    const { samples, sent, counters } = transmit(
      seed,
      { loss: 0, repeats: 0.1, disorder: 8 },
      { maxHeld: 64, maxHoldMs: 200 },
    );
    assert.equal(counters.lost, 0);
    assert.deepEqual(
      samples.map(({ data }) => Buffer.from(data)),
      sent,
      `seed ${seed}`,
    );
  }
});

test("never gives out a broken picture, nor one that refers to a lost one", () => {
  let withheld = 0;
  for (let seed = 0; seed < 60; seed++) {
    const network = { loss: 0.02, repeats: 0.02, disorder: seed % 2 === 0 ? 0 : 6 };
    const { samples, sent, counters } = transmit(seed, network, { maxHeld: 64, maxHoldMs: 200 });
    assert.ok(counters.lost > 0);
    withheld += counters.withheld;
    const first = sent.findIndex((whole) => whole.equals(samples[0]!.data));
    let before = -1;
    for (const [place, index] of indexes(samples).entries()) {
      const { data, isKeyframe } = samples[place]!;
      assert.ok(sent[first + index]!.equals(data), `seed ${seed}: picture ${index} is broken`);
      assert.ok(isKeyframe || index === before + 1, `seed ${seed}: picture ${index} follows ${before}`);
      before = index;
    }
  }
  assert.ok(withheld > 0);
});

test("does the same over a transport that keeps order but drops packets", () => {
  for (let seed = 0; seed < 30; seed++) {
    const { samples, sent } = transmit(seed, { loss: 0.01, repeats: 0, disorder: 0 });
    const whole = new Set(sent.map((bytes) => bytes.toString("hex")));
    let before = -1;
    for (const [place, index] of indexes(samples).entries()) {
      assert.ok(whole.has(Buffer.from(samples[place]!.data).toString("hex")), `seed ${seed}`);
      assert.ok(samples[place]!.isKeyframe || index === before + 1, `seed ${seed}`);
      before = index;
    }
  }
});
