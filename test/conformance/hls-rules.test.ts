// Every rule of the HLS room, from names to players, with the tests that hold it: a rule whose test is renamed or removed
// is a rule that nobody keeps any more.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

const root = new URL("../../", import.meta.url);
const room = "media-node/llhls";
const files = {
  guest: `${room}/ll-hls.test.ts`,
  protocol: `${room}/protocol.test.ts`,
  output: `${room}/stream-output.test.ts`,
  master: `${room}/master-playlist.test.ts`,
  ready: `${room}/readiness.test.ts`,
  lists: `${room}/equal-lists.test.ts`,
  random: `${room}/random-directives.test.ts`,
  rewind: `${room}/rewind.test.ts`,
  disk: `${room}/rewind-disk.test.ts`,
  ts: `${room}/ts-hls.test.ts`,
  end: `${room}/end-and-return.test.ts`,
  copy: `${room}/one-copy.test.ts`,
  query: `${room}/query-values.test.ts`,
  recorded: `${room}/recorded-requests.test.ts`,
  silence: `${room}/silence-filler.test.ts`,
  subtitles: `${room}/subtitle-output.test.ts`,
  cmaf: "media-node/cmaf/cmaf.test.ts",
  http: "media-node/api/http-server.test.ts",
  epoch: "media-node/agreed-epoch.test.ts",
  splice: "media-node/core/source-splice.test.ts",
  judge: "test/conformance/hls/hls-conformance.test.ts",
  failover: "test/conformance/failover-runs.test.ts",
  edges: "test/e2e/llhls-any-edge.test.ts",
  cameras: "test/e2e/rtsp-two-edges.test.ts",
  players: "test/interop/llhls-players.test.ts",
  seeking: "test/interop/llhls-rewind.test.ts",
  stock: "test/interop/llhls-stock-players.test.ts",
  decoded: "test/interop/llhls-decoded.test.ts",
  tsDecoded: "test/interop/hls-ts-decoded.test.ts",
  tsPlayers: "test/interop/hls-ts-players.test.ts",
  cold: "test/conformance/llhls-cold-edge.test.ts",
  delta: "test/conformance/hls/delta-updates.test.ts",
  cache: "test/interop/llhls-cache.test.ts",
  lossy: "test/interop/llhls-files.test.ts",
  renewal: "test/interop/llhls-renewal.test.ts",
  cues: "test/interop/llhls-subtitles.test.ts",
  origins: "test/interop/llhls-two-origins.test.ts",
} as const;
const text = Object.fromEntries(
  Object.entries(files).map(([name, path]) => {
    const source = readFileSync(new URL(path, root), "utf8");
    // A long name stands on a line of its own.
    return [name, source.replaceAll(/test\(\s+/g, "test(")];
  }),
);

type Held = readonly (readonly [file: keyof typeof files, test: string])[];

/** The checks of infra/hls-check on a running edge, for four kinds of streams. */
const judged = ["judge", "follows every rule with ${kind}"] as const;
const alike = ["output", "edges that join at different moments agree on every name and byte: ${name}"] as const;
const consecutive = ["output", "numbers neither skip nor go back, and times join up: ${name}"] as const;

const rules: Readonly<Record<string, Held>> = {
  "names: master, media, init, segment and part as OvenMediaEngine spells them": [
    ["protocol", "file names are OvenMediaEngine's, both ways"],
    ["protocol", "every prefix of a file name, and nonsense, is another master playlist or nobody's"],
  ],
  "names: MPEG-TS by ts: and by ?format=ts": [
    ["ts", "names are read as they are written, and nothing else is"],
    ["ts", "who asks for ?format=ts gets it, also by the plain name where LL-HLS does not have it"],
    ["ts", "LL-HLS leaves to MPEG-TS what is named as its own"],
  ],
  "names: the key is the same on all nodes": [
    [
      "protocol",
      "keys agree between nodes, differ between streams and secrets, and outlive an origin with a shared clock",
    ],
  ],
  "names: children by relative paths, the viewer's token with them": [
    ["guest", "with a secret, children need the token that the master gave; another edge takes it too"],
    ["guest", "a viewer who gets another stream than asked for is led to it"],
  ],
  "names: access is checked at the master": [
    ["guest", "who is not admitted gets no master and starts no pull"],
    ["guest", "a viewer whose policy ends is refused from then on, and the end is told once"],
    ["ts", "without the viewer's token there is no playlist, and nobody guesses a segment's name"],
    ["protocol", "a token is good on every node with the secret, for its stream, until it expires"],
    ["guest", "who watches goes on when its token grows old; nobody begins with an old one"],
    ["guest", "a viewer whose time is over goes on with a new token where it was"],
    ["renewal", "hls.js is told that its time is over; with a renewed policy it plays on"],
  ],
  "master: BANDWIDTH measured, groups of sound, several sounds, no FORCED": [
    ["master", "renditions share their groups of sound, each name stands once, and bit rates are those measured"],
    judged,
  ],
  "master: CODECS of every codec": [
    ["cmaf", "an init segment names its codec, timescale and form"],
    ["cmaf", "H.265 is written as hvc1 and named with reversed compatibility bits"],
    ["players", "hls.js plays ${video}"],
  ],
  "master: default playlists": [["guest", "without the default playlist only the origin's own are offered"]],
  "media: target duration, part target, hold back, program date, maps": [judged],
  "media: numbers never go back": [
    consecutive,
    ["output", "a silence of the source keeps the numbers of the clock and lists gaps"],
  ],
  "media: discontinuities and their sequence": [
    ["output", "a change of parameters is a discontinuity with the next number and another init segment"],
    [
      "output",
      "an edge that joins after discontinuities counts them as those that saw them, and as one that missed some",
    ],
    ["ts", "what does not continue is marked, with the next number and its own parameter sets"],
    [
      "output",
      "however many breaks an origin claims, a list names sixteen of them before a segment, also where its tracks are the same",
    ],
  ],
  "media: parts of the last segments alone": [
    ["guest", "parts are listed for the last five whole segments and the open one"],
  ],
  "media: a segment's last part is listed before the segment": [
    ["lists", "a segment's last part is listed before the segment is, and nobody waits for both: ${name}"],
  ],
  "media: preload hints under both names": [
    ["guest", "a hinted part can be asked for before it exists, also when its segment ends first"],
  ],
  "media: rendition reports": [
    ["master", "a list reports on the others of its kind, and on them alone, up to their last part"],
    judged,
  ],
  "media: delta updates": [
    ["guest", "a delta leaves out what the client has, and together they are the full playlist"],
    ["rewind", "a delta update counts what it leaves out of the window; legacy lists whole segments of all of it"],
    ["delta", "a delta applied to an older list is the full one: across a gap, a discontinuity and a rolling window"],
    ["rewind", "a delta applied to an older list is the full one where the list rewinds to what is on the disk"],
    ["delta", "an older list without all that a delta leaves out takes none"],
  ],
  "media: gaps": [
    ["guest", "who asks for a gap is led to what comes after it"],
    ["guest", "a list for VLC, which does not know gaps, begins behind them; it is asked for by its own address"],
    ["ts", "a source without a moment's media is a gap, and who asks for it is led on"],
  ],
  "media: ENDLIST": [
    ["guest", "the end of the stream answers everybody at once and marks the list"],
    ["output", "the end completes the last segment and marks the list"],
    ["end", "who comes after the end gets the ended lists and all that they name; a master that nobody sends is 404"],
    [
      "end",
      "a stream that comes back after its end goes on under the same names, with numbers that never go back: ${name}",
    ],
  ],
  "requests: a stream that comes is waited for, then 202; one that never was is 404": [
    ["guest", "the first request is held until there is something to play"],
    ["guest", "a stream that does not come in time is 202 for the master, 404 for a name nobody has"],
    [
      "guest",
      "who waited for a first segment that is not whole yet is told what it will have, and waits again for its lists",
    ],
    ["guest", "sound is offered alone where no picture came in time"],
    ["guest", "a picture that came late is offered with its sound"],
    ["guest", "a stream without a codec that LL-HLS knows is 404 at once, and says what it has"],
    ["guest", "an edge that takes in what its origin remembers shows no list before it has all of it"],
    ["guest", "who plays already waits for a node that does not know yet where the stream is; who begins is told"],
    ["ts", "the first request is held until a segment is whole, and gets a master of version 3"],
    ["ts", "a stream that does not come in time is 202, as for LL-HLS"],
    ["cold", "the first viewer of a cold edge gets no error: behind a Hearth origin, ${name}"],
    ["cold", "the first viewer of a cold edge gets no error: behind an OvenMediaEngine origin, ${name}"],
  ],
  "requests: blocking reload": [
    ["guest", "a playlist request waits for its part, and is answered with it"],
    ["guest", "asking for a whole segment waits for its end; a part after the last means the next segment's first"],
  ],
  "requests: 400 for what can never be, the present list for what is old": [
    ["guest", "what can never be answered is refused at once, what is old is answered at once"],
    ["protocol", "directives that no answer satisfies are refused"],
    ["random", "of 10,000 random directives the impossible ones are 400 at once, and no other is lost or stays held"],
    [
      "ready",
      "a player from another edge waits for one that is still catching up; nobody else waits for what is far ahead",
    ],
  ],
  "requests: 503 after the hold limit": [["guest", "a part that does not come is 503 after the hold limit"]],
  "requests: held ones are bounded, sliced and forgotten": [
    ["protocol", "held requests are released in slices, so that others get a turn"],
    ["protocol", "limits count requests in all, per address and per session"],
    ["guest", "a client that goes is forgotten"],
    ["guest", "more held requests than a session may have are told to come again"],
    ["protocol", "a held request expires, and is forgotten when its client goes"],
    ["protocol", "a request that is ready but not yet answered is forgotten too"],
    ["guest", "a guest that closes while a stream is being pulled lets go of it"],
  ],
  "requests: HEAD, ranges": [
    ["guest", "a segment is its parts, one after another; ranges and HEAD work"],
    ["rewind", "HEAD, ranges and what lies outside are answered from the disk as from memory"],
    ["protocol", "byte ranges are read as RFC 9110 says"],
  ],
  "headers: types, caching, gzip, CORS": [
    ["guest", "playlists are compressed for who takes it, open to any page, and cached as long as they hold"],
    ["guest", "what Server.xml says of caching and of legacy players is followed"],
  ],
  "headers: HTTP/2 over TLS": [
    ["http", "HTTP/2 answers everything that HTTP/1.1 does"],
    ["origins", "hls.js plays over TLS, every request in HTTP/2"],
    ["origins", "ffmpeg plays both tracks over TLS without an error"],
  ],
  "segmenter: the same on all edges": [
    alike,
    ["output", "an edge agrees again after it lost samples"],
    ["output", "audio segments begin with video's: ${name}"],
    [
      "lists",
      "an edge that joins soon after a stream began lists no gaps before it, so that no list begins earlier than another",
    ],
    ["lists", "an edge that has five whole segments lists what older ones list, line by line: ${name}"],
    ["edges", "hls.js plays without a stall when every request goes to another edge"],
  ],
  "segmenter: silent tracks": [
    ["output", "goes on with audio when video falls silent, and with video when it is back"],
    ["output", "a picture that was announced and never comes does not keep the sound waiting; when it comes it leads"],
    [
      "output",
      "sound that comes a moment after the pictures is waited for, though a cell ends just after a key frame was due",
    ],
    ["silence", "sound that stops for eleven seconds is silent, and every edge makes the same bytes of it"],
    ["silence", "sound that begins late, or never, does not keep anybody waiting"],
    ["silence", "sound that always comes three seconds behind the pictures is waited for after the first time"],
    [
      "silence",
      "sound of which no silent frame is known, or whose clock cannot tell two frames apart, is left as it comes",
    ],
    ["silence", "pictures that stop with their sound leave a gap, not silence"],
    ["silence", "what belongs to a segment without a part yet is not listed behind the parts of the one before"],
  ],
  "rewinding: on disk, byte for byte": [
    ["rewind", "rewinding lists the whole window, and serves every segment byte for byte as it was live"],
    [
      "rewind",
      "a request that does not say gets the window that DefaultQueryString names; the master passes a wish on",
    ],
    [
      "rewind",
      "edges list and serve the same of what both have; of what one never had, it says 404 and does not list it",
    ],
    ["disk", "what was handed in is at hand until it is written, then read from the disk, whole and in part"],
    ["disk", "a file that is being read when it is removed is read to its end"],
  ],
  "rewinding: in a player": [
    ["seeking", "hls.js seeks back to the beginning of the window and plays from there"],
    ["seeking", "OvenPlayer seeks back while its requests go to two edges in turn"],
  ],
  "rewinding: bounded, and nothing waits for the disk": [
    ["disk", "more than the limit of bytes: the oldest goes, and its owner is told"],
    ["disk", "a disk that does not keep up loses what is too much for the queue, counted and logged once"],
    ["disk", "a full disk loses the segment that did not fit, and leaves nothing of it"],
    ["rewind", "where nothing can be written, live goes on and nothing older is listed"],
    ["disk", "a folder that cannot be made is logged once, with the element to change; it works as soon as it can be"],
  ],
  "rewinding: read from the disk as clients take it": [
    ["http", "a body that comes is sent whole, in order, before what was asked for behind it"],
    ["http", "who takes a body slowly has it made no faster, and one who goes lets it go"],
    ["http", "a body that breaks off breaks the connection: a part does not pass for the whole"],
    ["http", "HTTP/2 answers everything that HTTP/1.1 does"],
  ],
  "rewinding: nothing is left behind": [
    ["rewind", "the files go when the stream goes, an ended one after a minute"],
    ["disk", "what a process that crashed left is removed, and nothing else"],
  ],
  "failover: no discontinuity with equal codecs": [
    ["splice", "a second source on the same clock goes on exactly where the first stopped, repeats left out"],
    ["failover", "kills of the source in use cost no frame and no timestamp"],
    ["splice", "other codec settings are announced as a discontinuity before the first sample"],
    ["origins", "hls.js plays on without a stall when the origin in use is killed"],
    ["origins", "hls.js plays on through four switches of origin in one playback"],
  ],
  "failover: an origin without a common clock": [
    [
      "epoch",
      "edges behind an origin with a time of its own cut the same segments, also when it begins anew, and never go back",
    ],
    ["epoch", "without a store, or one that does not answer, the source stays as it is"],
    ["epoch", "a node renews what it goes by once a minute, with what it measures then"],
  ],
  "failover: edges that pull one camera each": [
    [
      "cameras",
      "once a camera's sender reports have come, both edges serve the same parts and segments, byte for byte",
    ],
  ],
  "fMP4: boxes, times, sync samples": [
    ["cmaf", "a fragment holds its samples with times since 1970, reordering and sync flags"],
    ["cmaf", "fragments joined to a segment are read one after another"],
    ["cmaf", "NAL units that are not kept leave no trace"],
    ["cmaf", "the same track gives the same bytes"],
    ["lossy", "mp4box and ffprobe take every init, part and segment of ${kind}"],
  ],
  "fMP4: decoded frames are the source's": [
    ["decoded", "every picture and sound of ${kind} comes out as it went in"],
    ["decoded", "every picture of ${video} comes out as it went in, and mp4box and ffprobe know what it is"],
    ["decoded", "pictures of another size come out as they went in, also where only the first init segment is read"],
    ["decoded", "H.265 of another size comes out as it went in, each with the init segment that its segments name"],
  ],
  "legacy: whole segments, MPEG-TS": [
    ["guest", "legacy players get whole segments only"],
    ["ts", "the media playlist lists whole segments with their numbers, times and bytes"],
    ["tsDecoded", "two edges that joined at different moments write the same bytes under the same names"],
    ["ts", "no segment is longer than the target duration, which is the same on every edge and at every moment"],
    ["ts", "a segment is written in slices, of which one is done in a turn, and once however many ask"],
    ["ts", "Opus is left out, and MP3 is let in"],
    ["tsDecoded", "every picture and sound of ${kind} comes out of MPEG-TS as it went in"],
  ],
  players: [
    ["players", "hls.js plays 15 s in low-latency mode without a stall, with times since 1970"],
    ["players", "ffmpeg plays 10 s of both tracks without an error"],
    ["stock", "GStreamer plays both tracks of ${form} by ${bin}"],
    ["stock", "VLC plays both tracks of LL-HLS from an edge that has just begun"],
    ["stock", "VLC plays both tracks of MPEG-TS"],
    ["players", "hls.js plays ${kind}"],
    ["players", "hls.js plays a camera whose first segment takes longer than a request is held"],
    ["players", "hls.js plays Opus where there is no AAC"],
    ["stock", "${player} plays"],
    ["stock", "ffmpeg plays both tracks of MPEG-TS"],
    ["tsPlayers", "hls.js plays MPEG-TS over several segments without a stall"],
    ["tsPlayers", "ffmpeg plays segment after segment and misses nothing"],
  ],
  "requests: as they come, whole or nonsense": [
    ["guest", "whatever is asked for, an answer comes and the node lives"],
    ["query", "a query's values are those that a parser of URLs finds"],
    [
      "recorded",
      "requests are answered as OvenMediaEngine answers them, or better on purpose; pages may read all of it",
    ],
  ],
  "requests: what an edge that is ahead lists is waited for": [
    ["guest", "what an edge that is ahead lists already is waited for: its parts, the next segment's, and the segment"],
    ["ts", "a segment that an edge which is ahead lists already is waited for"],
  ],
  "viewers: counted once each, and their end told": [
    ["guest", "viewers are counted once each, and a stream nobody asks for is let go"],
    ["guest", "what viewers were sent is counted"],
    ["guest", "a player that asks once a segment is there between two requests, and its stream with it"],
    ["guest", "the end of a viewer is told when it stops asking, or never began"],
    ["ts", "a viewer whose requests go to two edges has the same name at both, as a viewer of HLS version 3"],
    ["copy", "a stream's bytes are in memory once, however many viewers are sent them"],
  ],
  "headers: what a cache may keep, and for whom": [
    ["guest", "what is one viewer's no cache may give to another, whatever Server.xml says of caching"],
    ["guest", "no answer outlives what it says: refusals, what is not there yet, an end"],
    ["cache", "parts are asked for once however many watch, and no viewer gets another's token"],
    ["cache", "a token that has run out opens no playlist, on any edge; files that are kept stay with who knows them"],
    ["cache", "what is answered while a stream is away does not outlive that in the cache"],
  ],
  "media: subtitles": [
    ["subtitles", "subtitles have the segments and parts of the picture: numbers, times, breaks and gaps"],
    ["subtitles", "a cue is in every part and segment during which it is shown, with its whole times"],
    ["subtitles", "a cue that comes late is in the next part, and one that nobody understands is counted"],
    [
      "subtitles",
      "edges that join at different moments write the same bytes, also of cues that began before they joined",
    ],
    ["subtitles", "a master lists what its origin says how to list, and what of others had a cue"],
    ["subtitles", "a subtitle track without a cue keeps nobody waiting, and one alone is nothing to play"],
    ["rewind", "who rewinds has the cues that were shown then, without parts and beside the picture's segments"],
    ["cues", "hls.js shows each cue at its time of the picture, low latency and all"],
  ],
  "segmenter: joined in the middle of a segment": [
    ["output", "what another edge joined in its middle is found in the whole of it"],
    [
      "output",
      "a segment joined in its middle leaves the list when three target durations stand without it, and is still served",
    ],
    ["ts", "a segment that another edge joined in its middle leads to the whole one; what never was is 404"],
  ],
  "segmenter: what a source lost": [
    ["lossy", "what a source of ${kind} lost spoils no picture after the next key frame"],
    ["lossy", "edges that joined a source of ${kind} with losses at different moments agree"],
  ],
};

for (const [rule, tests] of Object.entries(rules)) {
  test(rule, () => {
    assert.ok(tests.length > 0);
    for (const [file, name] of tests) {
      const isThere = ['"', "`"].some((quote) => text[file]!.includes(`test(${quote}${name}${quote}`));
      assert.ok(isThere, `${files[file]} has no test "${name}"`);
    }
  });
}

/** Where the tests of this room's rules are. */
const ofTheRoom = [
  `${room}/*.test.ts`,
  "test/conformance/{hls/,llhls-}*.test.ts",
  "test/interop/{llhls,hls}-*.test.ts",
  "test/e2e/llhls-*.test.ts",
];

test("every test of LL-HLS and HLS stands for a rule", () => {
  const named = new Set(
    Object.values(rules).flatMap((tests) => tests.map(([file, name]) => `${files[file]}: ${name}`)),
  );
  const all = globSync(ofTheRoom, { cwd: root }).flatMap((path) => {
    const tests = [...readFileSync(new URL(path, root), "utf8").matchAll(/\btest\(\s*(["`])(.+?)\1/g)];
    assert.ok(tests.length > 0, `no test was read in ${path}`);
    return tests.map(([, , name]) => `${path}: ${name}`);
  });
  assert.ok(all.length > 100);
  assert.deepEqual(
    all.filter((name) => !named.has(name)),
    [],
  );
});
