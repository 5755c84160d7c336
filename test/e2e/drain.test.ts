// Edges go on purpose: nobody who watches notices. `npm run soak -- drain` is the same with hundreds.
import { test } from "node:test";
import { drainOneOfThree, restartFive } from "../support/drain-trial.ts";

test("draining one of three edges moves everybody, without a stall or a failed request", { timeout: 120_000 }, (t) =>
  drainOneOfThree({ webRtc: 12, hls: 12, say: (line) => t.diagnostic(line) }).then((line) => t.diagnostic(line)),
);

test("a rolling restart of five edges, two at a time, loses nobody", { timeout: 180_000 }, (t) =>
  restartFive({ webRtc: 8, hls: 8, say: (line) => t.diagnostic(line) }).then((line) => t.diagnostic(line)),
);
