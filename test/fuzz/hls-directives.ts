import assert from "node:assert/strict";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { parseDirectives } from "../../media-node/llhls/directives.ts";
import { parseFileName, serializeFileName } from "../../media-node/llhls/names.ts";
import { readinessOf } from "../../media-node/llhls/readiness.ts";
import { parseRange } from "../../media-node/llhls/reply.ts";
import { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import { createViewerTokens } from "../../media-node/llhls/viewer-token.ts";
import { audioTrack, newStream, syntheticSamples, videoTrack } from "../support/synthetic-media.ts";

const stream = newStream([videoTrack, audioTrack]);
const options = { segmentMs: 2_000, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
output.start();
for (const sample of syntheticSamples({ durationMs: 9_000 })) stream.publish(sample);
const video = output.track(0)!;
const tokens = createViewerTokens({ secret: "s", ttlMs: 1_000, randomBytes: (count) => new Uint8Array(count) });

/** Anything a viewer may write into a URL or a header: no throw, nothing held that cannot come, no name read in two ways. */
export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString("latin1");
  const [head = "", ...rest] = text.split("?");
  const directives = parseDirectives(new URLSearchParams(rest.join("?")));
  if (directives?.msn !== undefined) {
    const readiness = readinessOf(video, directives);
    const isFar = directives.msn > video.lastCompleteMsn! + 2;
    assert.equal(isFar, isFar && readiness === "never");
  }
  for (const file of [head, `part_0_${head}_video_key_llhls.m4s`, `chunklist_${head}_llhls.m3u8`]) {
    const name = parseFileName(file);
    if (!name) continue;
    if (name.kind !== "master") assert.deepEqual(parseFileName(serializeFileName(name)), name);
    if (name.kind === "part") video.resolvePart(name.msn, name.part, name.key);
    video.file(file);
  }
  const range = parseRange(`bytes=${head}`, 1_000);
  if (Array.isArray(range)) assert.ok(range[0]! >= 0 && range[0]! < range[1]! && range[1]! <= 1_000);
  assert.ok(!tokens.verify(text, "v/app/s", 0));
}
