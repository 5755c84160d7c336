// Reads the frame number that is burnt into the looping clip (infra/laptop/make-loop.sh): a row of eleven blocks under
// the picture, white marks at both ends, nine bits between them, least significant first.

/** Of the clip: 400 frames at 25 per second. */
export const clip = { frames: 400, frameMs: 40, loopMs: 16_000 };
/** Where the clip's loops are counted from (`hearthEpochMs` in media-node/core/epoch.ts). */
const epochMs = Date.UTC(2025, 0, 1);

const cells = 11;
const area = { x: 396 / 1280, y: 640 / 720, width: 484 / 1280, height: 40 / 720 };

/** @returns {(video: HTMLVideoElement) => number | undefined} the number in the picture shown now; undefined = none readable */
export function createFrameReader() {
  const canvas = document.createElement("canvas");
  canvas.width = cells * 11;
  canvas.height = 10;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return (video) => {
    const { videoWidth: width, videoHeight: height } = video;
    if (!width || !height) return undefined;
    context.drawImage(
      video,
      area.x * width,
      area.y * height,
      area.width * width,
      area.height * height,
      0,
      0,
      canvas.width,
      canvas.height,
    );
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const levels = Array.from({ length: cells }, (_, cell) => data[(5 * canvas.width + cell * 11 + 5) * 4]);
    if (levels[0] < 160 || levels[cells - 1] < 160) return undefined;
    if (levels.some((level) => level > 90 && level < 160)) return undefined;
    const number = levels.slice(1, -1).reduce((sum, level, bit) => sum + (level >= 160 ? 2 ** bit : 0), 0);
    return number < clip.frames ? number : undefined;
  };
}

/**
 * Time from the source's clock to the glass. The clip is played as if it had looped since the epoch, so its frame
 * numbers are a clock.
 * @param {number} number from the picture
 * @param {number} shownMs Unix ms at which it is on the glass
 */
export function glassToGlassMs(number, shownMs) {
  const behind = (shownMs - epochMs - number * clip.frameMs) % clip.loopMs;
  return behind < 0 ? behind + clip.loopMs : behind;
}
