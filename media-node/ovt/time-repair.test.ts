import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeTrace, recordedBytes, recordingNames } from "../../test/support/ovt-fixtures.ts";
import { wireTrack } from "../../test/support/scripted-origin.ts";
import { parseOvtDescription, type OvtWireTrack } from "./ovt-description.ts";
import { ovtMediaType, type OvtMedia } from "./ovt-media.ts";
import { parseOvtResponse } from "./ovt-message.ts";
import { TimeRepair } from "./time-repair.ts";

/** A recording's tracks and media. */
function load(name: string): { readonly tracks: readonly OvtWireTrack[]; readonly media: readonly OvtMedia[] } {
  const { packets, media } = decodeTrace(recordedBytes(name, "origin"));
  const answer = packets.find(({ payloadType }) => payloadType === 20)!;
  const { tracks } = parseOvtDescription(parseOvtResponse(answer.payload).contents!);
  const plain = media.map((each) => {
    return { ...each, pts: Number(each.pts), dts: Number(each.dts), duration: Number(each.duration) };
  });
  return { tracks, media: plain };
}

test("time that stood still in a recording goes on as frames come, at the distance they had", () => {
  const { tracks, media } = load("h264_opus_whip");
  const repair = new TimeRepair(tracks);
  const paceMs = { 0: 1_000 / 30, 1: 20 };
  for (const id of [0, 1] as const) {
    const { timebaseDen } = tracks.find((track) => track.id === id)!;
    const frames = media.filter(({ trackId }) => trackId === id);
    const msOf = (dts: number): number => (dts * 1_000) / timebaseDen;
    const raw = msOf(frames.at(-1)!.dts - frames[0]!.dts);
    const out = frames.map((frame, index) => repair.repair(frame, index * paceMs[id]));
    const wantedMs = (frames.length - 1) * paceMs[id];
    assert.ok(raw < wantedMs / 2, `the recording's own time stands still: ${raw} of ${wantedMs} ms`);
    const gotMs = msOf(out.at(-1)!.dts - out[0]!.dts);
    assert.ok(Math.abs(gotMs - wantedMs) < 100, `${gotMs} of ${wantedMs} ms`);
    const steps = out.slice(1).map(({ dts }, at) => dts - out[at]!.dts);
    assert.ok(steps.every((step) => step > 0));
    assert.deepEqual(new Set(steps.slice(-20)), new Set([id === 0 ? 3_000 : 960]));
    assert.ok(out.every(({ pts, dts }) => pts === dts));
  }
});

test("what comes as it should, or all at once, is not touched", () => {
  for (const name of recordingNames) {
    const { tracks, media } = load(name);
    for (const isBurst of [true, false]) {
      if (!isBurst && name === "h264_opus_whip") continue;
      const repair = new TimeRepair(tracks);
      const startMs = new Map<number, number>();
      for (const each of media) {
        const den = tracks.find(({ id }) => id === each.trackId)!.timebaseDen;
        const ms = (each.dts * 1_000) / den;
        if (!startMs.has(each.trackId)) startMs.set(each.trackId, ms);
        assert.equal(repair.repair(each, isBurst ? 0 : ms - startMs.get(each.trackId)!), each);
      }
    }
  }
});

const frame = (dts: number): OvtMedia => {
  const rest = { duration: 0, flag: 2, bitstreamFormat: 12, packetType: 1, data: new Uint8Array(1) };
  return { trackId: 1, pts: dts, dts, mediaType: ovtMediaType.audio, ...rest };
};
const opus = parseOvtDescription(
  JSON.parse(JSON.stringify({ version: 18, stream: { tracks: [wireTrack(1, 1, 9)] } })),
).tracks;

test("a doubled frame now and then is borne, and a clock that was set right is followed again", () => {
  const doubled = new TimeRepair(opus);
  for (let n = 0; n < 200; n++) {
    const given = frame(n * 960 - (n % 5 === 0 ? 959 : 0));
    assert.equal(doubled.repair(given, n * 20), given);
  }
  const repair = new TimeRepair(opus);
  const give = (n: number, dts: number): number => repair.repair(frame(dts), n * 20).dts;
  for (let n = 0; n < 100; n++) give(n, n * 960);
  let last = 0;
  for (let n = 100; n < 200; n++) last = give(n, 99 * 960 + n - 99);
  assert.equal(last, 199 * 960);
  // Two seconds ahead of what passed: as much as was added.
  assert.equal(give(200, 200 * 960), 200 * 960);
  assert.equal(give(201, 201 * 960), 201 * 960);
});
