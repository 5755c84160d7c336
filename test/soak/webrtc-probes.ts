// Nobody without a viewer's keys can end, delay or use a session: every known probe of an outsider, ten thousand packets of
// each, against a hundred live viewers. No session is hurt, nothing is sent back beyond what came, nothing is kept.
// `npm run soak -- webrtc-probes [PACKETS] [VIEWERS] [PORTS]`
import assert from "node:assert/strict";
import { runProbes } from "../support/webrtc-probes.ts";

const [packets = 10_000, viewers = 100, ports = 1_000] = process.argv.slice(2).map(Number);
const outcomes = await runProbes({ packets, viewers, ports });
for (const { name, hurt, ratio, kept } of outcomes) {
  console.log(`${name}: ${packets} packets, ${hurt} hurt, ${ratio.toFixed(3)} bytes out for one in, ${kept} kept`);
}
assert.ok(outcomes.every(({ hurt, ratio, kept }) => hurt === 0 && ratio <= 1 && kept <= 0));
