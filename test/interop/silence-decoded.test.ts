// What stands for sound that does not come is silent, as long as it should be, and nothing a decoder complains of.
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { serializeAacConfig, serializeAdtsHeader } from "../../media-node/codecs/aac.ts";
import { silenceOf } from "../../media-node/codecs/silence.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { toOgg } from "../support/ogg.ts";

const count = 20;

/** Loudest sample of a file, and how many there are of each channel. */
async function heard(file: string): Promise<{ readonly peak: string; readonly samples: number }> {
  const filter = "astats=measure_perchannel=none:measure_overall=Peak_level+Number_of_samples";
  const args = ["-v", "info", "-xerror", "-err_detect", "explode", "-i", file, "-af", filter, "-f", "null", "-"];
  const { code, stderr } = await runProgram("ffmpeg", args);
  assert.equal(code, 0, stderr);
  const said = (name: string): string => new RegExp(`${name}: (\\S+)`).exec(stderr)?.[1] ?? "";
  return { peak: said("Peak level dB"), samples: Number(said("Number of samples")) };
}

test("silent frames of every layout are decoded to nothing, whole and without an error", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hearth-silence-"));
  try {
    for (const channels of [1, 2, 3, 4, 5, 6, 7]) {
      const config = { objectType: 2, sampleRate: 44_100, channels };
      const { data } = silenceOf("aac", serializeAacConfig(config), channels)!;
      const file = join(folder, `${channels}.aac`);
      await writeFile(
        file,
        Buffer.concat(Array.from({ length: count }, () => [serializeAdtsHeader(config, data.length), data]).flat()),
      );
      assert.deepEqual(await heard(file), { peak: "-inf", samples: count * 1_024 }, `${channels} channels`);
    }
    for (const channels of [1, 2]) {
      const { data } = silenceOf("opus", new Uint8Array(), channels)!;
      const file = join(folder, `${channels}.ogg`);
      await writeFile(
        file,
        toOgg(
          Array.from({ length: count }, () => data),
          channels,
        ),
      );
      assert.equal((await heard(file)).peak, "-inf");
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
