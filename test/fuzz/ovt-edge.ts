// Whatever an origin sends: an edge ends the connection with a ProtocolError, or goes on; and how reads fall never matters.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { toStreamDescription } from "../../media-node/ovt/description-mapping.ts";
import { OvtEdgeDialogue } from "../../media-node/ovt/edge-dialogue.ts";
import { parseOvtDescription } from "../../media-node/ovt/ovt-description.ts";
import type { OvtGeneration } from "../../media-node/ovt/ovt-generation.ts";
import { SampleDecoder } from "../../media-node/ovt/sample-decoder.ts";

const generations: readonly OvtGeneration[] = ["g1", "g2", "g3"];

/** Everything that happened, as text. */
function run(chunks: readonly Uint8Array[], generation: OvtGeneration): string {
  const events: string[] = [];
  let decoder: SampleDecoder | undefined;
  const dialogue: OvtEdgeDialogue = new OvtEdgeDialogue(
    { target: "ovt://o:9000/app/s", maxMediaBytes: 1 << 20 },
    {
      onDescribed(contents) {
        const wire = parseOvtDescription(contents);
        const { tracks } = toStreamDescription(wire, { generation, guessedEpochMs: 0 });
        const factors = new Map(wire.tracks.map(({ id, timebaseNum }) => [id, timebaseNum]));
        decoder = new SampleDecoder(tracks, generation, factors, {
          onSample: ({ trackId, pts, dts, isKeyframe, data }) => {
            assert.ok(Number.isSafeInteger(pts) && Number.isSafeInteger(dts) && data.length > 0);
            events.push(`sample ${trackId} ${pts} ${dts} ${isKeyframe} ${Buffer.from(data).toString("base64")}`);
          },
          onTrack: ({ id, decoderConfig }) => events.push(`track ${id} ${decoderConfig?.length}`),
        });
        events.push(`described ${tracks.length}`);
        dialogue.play(0, 0);
      },
      onPlaying: () => events.push("playing"),
      onMedia: (media) => decoder?.push(media),
      onPulse: (wallMs) => {
        assert.ok(Number.isFinite(wallMs));
        events.push(`pulse ${wallMs}`);
      },
      onUnexpectedMessage: ({ code }) => events.push(`message ${code}`),
      onStopped: () => events.push("stopped"),
    },
  );
  dialogue.describe(0, 0);
  try {
    for (const chunk of chunks) dialogue.receive(chunk);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    events.push(thrown.code);
  }
  return events.join("\n");
}

export function fuzz(input: Uint8Array): void {
  const generation = generations[input.length % 3]!;
  const at = (input[0] ?? 0) + (input[1] ?? 0);
  assert.equal(run([input.subarray(0, at), input.subarray(at)], generation), run([input], generation));
}
