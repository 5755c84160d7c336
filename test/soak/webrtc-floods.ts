// Floods that outsiders can make: reflection from ten thousand addresses, a thousand viewers with the wrong certificate, ten thousand
// replayed handshake datagrams, ten seconds of junk at 200,000 a second (or what the machine can send), and five thousand offers
// in five seconds. Those who watch lose at most one packet in a hundred, their pictures come at most 20 ms late (p99) while
// offers come, and the node's memory stays flat. Lateness is that of a machine that does nothing else.
// `npm run soak -- webrtc-floods [SHARE]`: everything times SHARE, 1 unless given
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { comeWithWrongCertificates, reflect, replayHandshake } from "../support/webrtc-floods.ts";
import { stormOfJunk, stormOfOffers } from "../support/webrtc-storm.ts";

const share = Number(process.argv[2] ?? 1);
const only = process.argv[3];
const wanted = (name: string): boolean => only === undefined || only === name;
/** Of the edge: its young generation is 2 MiB a half, and its socket's buffer is the kernel's. */
const maxGrowthMb = 32;

if (wanted("reflection")) {
  const { packets, ports, ratio, answers, kept } = await reflect({
    packets: 1_000_000 * share,
    ports: 10_000 * Math.min(1, share),
  });
  console.log(
    `reflection: ${packets} packets from ${ports} ports, ${ratio.toFixed(3)} bytes and ${answers.toFixed(3)} answers for one, ${kept} kept`,
  );
  assert.ok(ratio <= 1 && answers <= 1 && kept <= 8);
}
if (wanted("certificates")) {
  for (const force of [{}, { dtls: "werift" }] as const) {
    const { attempts, connected, packets, ended } = await comeWithWrongCertificates(1_000 * share, force);
    console.log(
      `wrong certificates: ${attempts} attempts, ${connected} got keys, ${packets} packets left, ${JSON.stringify(ended)}`,
    );
    assert.deepEqual([connected, packets], [0, 0]);
  }
}
if (wanted("replay")) {
  const { sent, hurt, ratio } = await replayHandshake(10_000 * share);
  console.log(`replay: ${sent} datagrams, ${hurt} hurt, ${ratio.toFixed(3)} bytes out for one in`);
  assert.ok(hurt === 0 && ratio <= 1);
}
if (wanted("junk")) {
  const junk = await stormOfJunk({ viewers: 100, perSecond: 200_000, seconds: 10 * share });
  const { sent, perSecond, hurt, packets, lost, megabytes } = junk;
  console.log(`junk: ${sent} datagrams, ${Math.round(perSecond)} a second, ${lost} of ${packets} packets lost, ${hurt} of 100 viewers hurt
  memory ${megabytes.map((one) => one.toFixed(0)).join(" → ")} MB, pictures p99 ${junk.lateP99.toFixed(1)} ms late, load ${loadavg()[0]!.toFixed(1)}`);
  assert.ok(hurt === 0 && lost <= packets * 0.01 && megabytes[1] - megabytes[0] <= maxGrowthMb);
}
if (wanted("offers")) {
  const offers = 5_000 * share;
  const { answers, seconds, hurt, lost, lateP99, lateMost } = await stormOfOffers({
    viewers: 50,
    offers,
    seconds: 5 * share,
  });
  console.log(`offers: ${offers} in ${seconds.toFixed(1)} s, ${JSON.stringify(answers)}, ${lost} packets lost
  pictures p99 ${lateP99.toFixed(1)}, latest ${lateMost.toFixed(1)} ms late, load ${loadavg()[0]!.toFixed(1)}`);
  const taken = Object.keys(answers).filter((answer) => answer.startsWith("201")).length;
  const refused = answers["503, told when to come again"] ?? 0;
  assert.equal(
    taken + Math.sign(refused),
    Object.keys(answers).length,
    "who was not let in was told when to come again",
  );
  assert.ok(hurt === 0 && lost === 0 && lateP99 <= 20);
}
