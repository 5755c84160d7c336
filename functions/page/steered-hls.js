/**
 * Lets hls.js (1.7) go on at once when content steering has moved it to another pathway. The part that it was loading from the
 * one before is aborted, and what it is told of that it takes for the end of the load that follows: far away, where no answer is
 * there within a tenth of a second, it may abort and ask again for ten seconds. Stopped and started, it forgets both.
 * @param {any} hls
 * @param {any} events `Hls.Events`
 */
export function goOnAfterSteering(hls, events) {
  let pathway;
  hls.on(events.LEVEL_SWITCHING, (_event, { attrs }) => {
    const before = pathway;
    pathway = attrs["PATHWAY-ID"];
    if (before === undefined || before === pathway) return;
    setTimeout(() => {
      // Null once it was destroyed.
      if (!hls.media) return;
      hls.stopLoad();
      hls.startLoad();
    });
  });
}
