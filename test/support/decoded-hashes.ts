import { runProgram } from "./ffmpeg.ts";

/** A decoded frame: when it is shown, in ticks of the track, and what is seen or heard. */
export interface DecodedFrame {
  readonly pts: number;
  readonly hash: string;
}

/**
 * Every frame that ffmpeg decodes of a file, in the order shown.
 * @param format of the file, as arguments; none where it shows
 * @param strict what ffmpeg would make up for is an error, too
 * @throws Error with ffmpeg's words; without `strict` only where it gives up
 */
export async function decodeFrames(
  file: string,
  format: readonly string[],
  kind: "v" | "a",
  strict = false,
): Promise<DecodedFrame[]> {
  const care = strict ? ["-xerror", "-err_detect", "explode"] : [];
  const input = [...care, ...format, "-copyts", "-i", file, "-map", `0:${kind}`, "-fps_mode", "passthrough"];
  const output = ["-enc_time_base", "-1", "-f", "framemd5", "-"];
  const { code, stdout, stderr } = await runProgram("ffmpeg", ["-v", "error", ...input, ...output]);
  if (code !== 0 || (strict && stderr !== "")) throw new Error(`ffmpeg ended with ${code}: ${stderr}`);
  const rows = stdout.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return rows.map((line) => {
    const columns = line.split(",").map((column) => column.trim());
    return { pts: Number(columns[2]), hash: columns.at(-1)! };
  });
}

/** Their hashes alone. */
export async function decodedHashes(file: string, format: readonly string[], kind: "v" | "a"): Promise<string[]> {
  return (await decodeFrames(file, format, kind)).map(({ hash }) => hash);
}
