import { spawn } from "node:child_process";

/** What a program printed and how it ended. */
export interface ProgramEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 * @throws Error that says what to install when it is not there
 */
export async function runProgram(command: string, args: readonly string[], withinMs = 60_000): Promise<ProgramEnd> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: withinMs });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(error.code === "ENOENT" ? new Error(`This test needs ${command}: apt-get install ${command}`) : error),
    );
    child.once("close", (code) => resolve({ code, stdout, stderr }));
  });
}

/** Streams of a URL as ffprobe sees them. */
export async function probeStreams(url: string): Promise<{ codec_type: string; codec_name: string }[]> {
  const { stdout, stderr } = await runProgram("ffprobe", ["-v", "error", "-show_streams", "-of", "json", url]);
  if (!stdout.startsWith("{")) throw new Error(`ffprobe: ${stderr}`);
  return (JSON.parse(stdout) as { streams: { codec_type: string; codec_name: string }[] }).streams;
}

/** Decodes `seconds` of a URL. `errors` is what ffmpeg complained of; frames and samples are what came out. */
export async function decode(
  url: string,
  seconds: number,
): Promise<{ code: number | null; errors: string; frames: number; audioMs: number }> {
  const { code, stdout, stderr } = await runProgram(
    "ffmpeg",
    [
      "-nostdin -v error -err_detect explode -progress - -i".split(" "),
      [url, "-t", String(seconds)],
      // Timestamps as they are: ffmpeg would round them to a frame rate that it guesses.
      "-map 0:v:0 -map 0:a:0 -fps_mode passthrough -enc_time_base 1:90000 -f null -".split(" "),
    ].flat(),
  );
  const last = (key: string): number =>
    Number([...stdout.matchAll(new RegExp(`^${key}=(\\d+)`, "gm"))].at(-1)?.[1] ?? 0);
  return { code, errors: stderr.trim(), frames: last("frame"), audioMs: last("out_time_ms") / 1_000 };
}
