// Every rule for origins (O) and edges (E), and every behaviour that a peer may rely on, with the tests that hold it: a rule
// whose test is renamed or removed is a rule that nobody keeps any more.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const room = "media-node/ovt";
const files = {
  origin: `${room}/origin-behaviour.test.ts`,
  edge: `${room}/edge-behaviour.test.ts`,
  more: `${room}/edge-rules.test.ts`,
  limits: `${room}/limits.test.ts`,
  both: `${room}/ovt-both-ways.test.ts`,
  chain: `${room}/relay-chain.test.ts`,
  secure: `${room}/secure-link.test.ts`,
  link: "media-node/ovt-link.test.ts",
  listener: "media-node/ovt-listener.test.ts",
  hosts: "media-node/cluster/origin-map/origin-map.test.ts",
  hub: "media-node/core/stream-hub.test.ts",
  vectors: "test/conformance/ovt-vectors.test.ts",
  recordings: "test/conformance/ovt-recordings.test.ts",
} as const;
const text = Object.fromEntries(
  Object.entries(files).map(([name, path]) => [name, readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")]),
);

type Held = readonly (readonly [file: keyof typeof files, test: string])[];

const burst = [
  "origin",
  "sends the answer to play first, then a burst from the last key frame, then what follows",
] as const;
const whole = ["origin", "describes a live stream so that an OvenMediaEngine edge starts at once"] as const;
const late = ["origin", "answers 202 after 1.2 s when the stream is still being opened"] as const;
const stuck = [
  "origin",
  "an edge that stops reading costs bounded memory and is dropped; the others are not disturbed",
] as const;
const missing = ["origin", "an unknown stream is 404, and the connection can ask again"] as const;
const ended = ["origin", "the end of the source ends sessions on the border of a sample"] as const;
const second = ["origin", "a second play is refused and the first session goes on"] as const;
const stopped = ["origin", "stop is answered, then the connection ends and nothing follows"] as const;
const strangers = ["origin", "10,000 connections that say nothing, or only half of a request, are let go"] as const;
const names = [
  "origin",
  "a host of no virtual host is 404; names are not decoded; the query reaches the plan without its token",
] as const;
const every = [
  "both",
  "every codec, data and subtitles pass between Hearth nodes; others are spared data and subtitles unless asked for",
] as const;
const packetType = ["edge", "the packet type never matters"] as const;
const held = [
  "edge",
  "video is held back to its first key frame by NAL type, whatever the flags of audio say",
] as const;
const patient = ["edge", "waits 5 s for an answer and no longer"] as const;
const silence = [
  "edge",
  "silence makes the pull go on with the next URL, a torn packet does not reach the next connection",
] as const;
const oneRead = ["edge", "media in the same read as the answer to play is not lost"] as const;
const between = [
  "edge",
  "a message between the pieces of a sample is told to the log, and the sample is whole",
] as const;
const playlists = ["edge", "playlists may be absent, null, or bare; unknown keys and floats are no harm"] as const;
const oneWrite = [
  "more",
  "a request is one write, and nothing is asked before the answer to what was asked first",
] as const;

const rules: Readonly<Record<string, Held>> = {
  "O-1 numbers with which an edge starts at once": [whole],
  "O-2 a burst from the last key frame": [burst, ["origin", "a Hearth edge gets as much recent media as it asks for"]],
  "O-3 describe is answered within 1.2 s": [
    late,
    ["origin", "answers 202 while the description lacks a decoder configuration, and 200 once it has one"],
  ],
  "O-4 a queue bounded in bytes and age drops whole samples": [
    stuck,
    ["limits", "a queue over its limit drops whole samples and goes on with each track's next key frame"],
    ["limits", "what waited too long is dropped, too"],
  ],
  "O-5 track ids are stable": [
    [
      "origin",
      "an origin that was started again, and one that stands in for it, describe the tracks with the same ids",
    ],
  ],
  "O-6, O-17 media follows the answer to play within 100 ms": [
    burst,
    [
      "origin",
      "play is granted to an OvenMediaEngine edge when media can follow at once, and refused by a silent stream",
    ],
  ],
  "O-7 dead edges are found": [
    ["listener", "the kernel asks edges that say nothing whether they are still there"],
    [
      "listener",
      "an edge that has said all it will is answered to the end, and the connection is closed from both sides",
    ],
  ],
  "O-8 an answer is one write, before media": [
    ["limits", "an answer is one write, however many packets it takes"],
    burst,
  ],
  "O-9 nothing unsolicited but media": [whole, ended],
  "O-10 the end is on the border of a sample": [
    ended,
    [
      "origin",
      "new tracks end sessions on the border of a sample, since nobody could tell the edge; new parameter sets do not",
    ],
  ],
  "O-11 one session a connection": [second],
  "O-12 stop is answered, then FIN": [stopped],
  "O-13 connections without a session end": [
    strangers,
    ["origin", "after a refused play the connection ends when nothing follows"],
  ],
  "O-14 Annex B, ADTS and bare frames, parameter sets before key frames": [
    every,
    ["recordings", "${name}: the recorded edge would accept what an origin sends of the same stream"],
  ],
  "O-15 options and renditions always there, no negative numbers": [
    whole,
    ["recordings", "${name}: the description is understood in full and written again byte by byte"],
  ],
  "O-16 names as they are, hosts in any case": [
    names,
    ["hosts", "chooses the first virtual host that matches, whatever the port and the case"],
  ],
  "E-1 the packet type does not decide": [packetType],
  "E-2, E-3 video from a key frame on, by what it is": [
    held,
    ["edge", "parameter sets learned in band are described before the key frame that needs them"],
  ],
  "E-4 describe may take 5 s": [patient],
  "E-5 growing pauses": [["more", "an origin that is gone is asked again with growing pauses"]],
  "E-6 silence counts in whole samples": [
    silence,
    ["edge", "an origin that plays nothing is given up after 3 s"],
    ["hub", "silence counts in media: a source that is connected but sends no sample is left after the no-input time"],
  ],
  "E-7 a request is one write": [oneWrite],
  "E-8 one stream a connection, one request at a time": [oneWrite],
  "E-9 a fresh parser for each connection": [silence],
  "E-10 media behind the answer": [oneRead],
  "E-11 what nobody knows is left out": [
    [
      "more",
      "tracks of codecs and packets of formats nobody knows, and packets of tracks nobody described, are left out",
    ],
  ],
  "E-12 everything but 200 is a failure": [["edge", "an answer with ${what} is a failure"]],
  "E-13 stop, and half a second": [
    ["edge", "says stop when it goes, and waits no longer than half a second for the answer"],
    ["more", "media that arrives after stop is ignored until the answer, a torn one included"],
  ],
  "E-14 lenient with descriptions": [playlists],
  "E-15 several ADTS frames in one packet": [
    ["more", "AAC frames that come together are samples of their own, each with its time"],
  ],
  "origin 1: a description that passes every check": [whole],
  "origin 2: unknown, then known": [missing],
  "origin 3: play first": [["origin", "plays without a describe"]],
  "origin 4: no media before the answer, and from a border on": [burst],
  "origin 5: second play": [second],
  "origin 6: stop": [stopped, ["origin", "stop without a session is answered and the connection stays"]],
  "origin 7: a client that stops reading": [stuck],
  "origin 8: the source ends": [ended],
  "origin 9: single bytes, two in one": [["origin", "requests may come byte by byte, or two in one read"]],
  "origin 10: bad packets, media from a client, strangers": [
    ["origin", "bad packets end the connection and nothing else"],
    ["vectors", "${name}: gets the reaction it deserves"],
    strangers,
    ["origin", "a flood of connections that say nothing pushes out its oldest, not the sessions"],
  ],
  "origin 11: hosts, escapes, queries, the first key": [
    names,
    ["origin", "the first token of a query counts, whatever a viewer appended"],
  ],
  "edge 12: vectors in sequence, pieces of any size": [
    ["edge", "takes the vectors in sequence, and samples cut into pieces of any size"],
  ],
  "edge 13: one read, an answer between": [
    oneRead,
    between,
    ["vectors", "T23: an answer between the pieces of a sample leaves the sample whole"],
  ],
  "edge 14: late and wrong answers": [patient, ["edge", "an answer with ${what} is a failure"]],
  "edge 15: silence, and a torn packet": [silence],
  "edge 16: three numberings": [
    ["edge", "the numbers of ${generation} are told by the first packets"],
    ["edge", "the numbers of ${generation} are told by ${codec} beside H.264"],
  ],
  "edge 17: delta frames first": [held],
  "edge 18: odd descriptions, ids that change": [
    playlists,
    ["edge", "track ids that change with a new connection are described anew"],
  ],
  "edge 19: every packet type": [packetType],
  "relay: three hops, identity, circles": [
    [
      "chain",
      "a three-hop chain keeps cues, loses, repeats, reorders and retimes nothing, and keeps the origin's identity",
    ],
    ["both", "a pull in a circle is refused at once"],
    ["hub", "refuses to pull from itself in a circle"],
  ],
  "link: TLS, tokens, trusted addresses": [
    ["secure", "nodes that share a secret speak TLS, or plain OVT with a token, on one port"],
    ["origin", "with a secret, a peer without a token gets no byte and learns no name"],
    ["link", "a rule with the scheme ovts pulls within TLS: neither names nor media stand on the wire"],
    ["link", "with <OvtLink> and a secret, a token or a trusted address opens the port"],
  ],
  "bytes: every vector, every cut": [
    ["vectors", "every vector parses the same when cut at every byte"],
    ["vectors", "10,000 random cuts parse the same"],
  ],
};

for (const [rule, tests] of Object.entries(rules)) {
  test(rule, () => {
    for (const [file, name] of tests) {
      const isThere = ['"', "`"].some((quote) => text[file]!.includes(`test(${quote}${name}${quote}`));
      assert.ok(isThere, `${files[file]} has no test "${name}"`);
    }
  });
}

test("no rule is left out", () => {
  const mentioned = Object.keys(rules).flatMap(
    (rule) => rule.match(/^(?:[OE]-\d+(?:, )?)+|^(?:origin|edge) \d+/)?.[0].split(", ") ?? [],
  );
  const wanted = [
    ...Array.from({ length: 17 }, (_, i) => `O-${i + 1}`),
    ...Array.from({ length: 15 }, (_, i) => `E-${i + 1}`),
    ...Array.from({ length: 11 }, (_, i) => `origin ${i + 1}`),
    ...Array.from({ length: 8 }, (_, i) => `edge ${i + 12}`),
  ];
  assert.deepEqual(mentioned.toSorted(), wanted.toSorted());
});
