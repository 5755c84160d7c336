/**
 * Lets hls.js (1.7) go on at once when content steering has moved it to another pathway.
 *
 * The part that it was loading from the one before is aborted, and what it is told of that it takes for the end of the load that
 * follows: far away, where no answer is there within a tenth of a second, it may abort and ask again for ten seconds. Stopped
 * and started, it forgets both.
 *
 * The parts of the new pathway's lists are all new to it. Where what it has ends with a segment, it would wait for as long as parts
 * of that segment are listed; so those that it has are told to it as loaded.
 * @param {any} hls
 * @param {any} events `Hls.Events`
 */
export function goOnAfterSteering(hls, events) {
  let pathway;
  let buffered = {};
  const isNew = { video: false, audio: false };
  const tellLoaded = (type, { partList }) => {
    if (!isNew[type]) return;
    isNew[type] = false;
    for (const part of partList ?? []) {
      if (part.loaded || !isWithin(buffered[type], part)) continue;
      const [start, end] = [part.start, part.end];
      part.elementaryStreams[type] = { startPTS: start, endPTS: end, startDTS: start, endDTS: end };
    }
  };
  hls.on(events.BUFFER_APPENDED, (_event, { timeRanges }) => (buffered = timeRanges));
  hls.on(events.LEVEL_UPDATED, (_event, { details }) => tellLoaded("video", details));
  hls.on(events.AUDIO_TRACK_UPDATED, (_event, { details }) => tellLoaded("audio", details));
  hls.on(events.LEVEL_SWITCHING, (_event, { attrs }) => {
    const before = pathway;
    pathway = attrs["PATHWAY-ID"];
    if (before === undefined || before === pathway) return;
    isNew.video = isNew.audio = true;
    setTimeout(() => {
      // Null once it was destroyed.
      if (!hls.media) return;
      hls.stopLoad();
      hls.startLoad();
    });
  });
}

/** Whether a part lies in one of these ranges, but for what rounding takes from it. */
function isWithin(ranges, { start, end }) {
  for (let index = 0; index < (ranges?.length ?? 0); index++) {
    if (start > ranges.start(index) - 0.02 && end < ranges.end(index) + 0.02) return true;
  }
  return false;
}
