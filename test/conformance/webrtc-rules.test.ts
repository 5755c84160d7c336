// Every rule of signalling, WHEP, descriptions, RTP and the front door that players or operators may rely on, with the tests
// that hold it: a rule whose test is renamed or removed is a rule that nobody keeps any more.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const room = "media-node/webrtc";
const files = {
  room: `${room}/web-rtc.test.ts`,
  dialogue: `${room}/signalling-dialogue.test.ts`,
  negotiation: `${room}/negotiation.test.ts`,
  session: `${room}/viewer-session.test.ts`,
  auto: `${room}/auto-rendition.test.ts`,
  workers: `${room}/workers/worker-room.test.ts`,
  door: `${room}/transport/front-door.test.ts`,
  dtls: `${room}/transport/dtls-engines.test.ts`,
  queue: `${room}/transport/handshake-queue.test.ts`,
  srtp: `${room}/transport/srtp.test.ts`,
  replay: `${room}/transport/replay-window.test.ts`,
  stun: `${room}/transport/stun.test.ts`,
  udp: `${room}/native/udp-socket.test.ts`,
  frames: `${room}/transport/tcp-frames.test.ts`,
  sdp: "media-node/sdp/webrtc-descriptions.test.ts",
  rtp: "media-node/rtp/packetizer.test.ts",
  h264: "media-node/rtp/h264-packetizer.test.ts",
  delay: "media-node/rtp/playout-delay.test.ts",
  hub: "media-node/core/stream-hub.test.ts",
  metrics: "media-node/web-rtc-metrics.test.ts",
  config: "media-node/config/parse-server-xml.test.ts",
  players: "test/e2e/webrtc-players.test.ts",
  routed: "test/e2e/webrtc-players-routed.test.ts",
  ways: "test/e2e/webrtc-ways-routed.test.ts",
  camera: "media-node/rtsp/rtsp-source.test.ts",
  gstreamer: "test/interop/rtsp-gstreamer.test.ts",
  switches: "test/e2e/webrtc-origin-switch.test.ts",
  hotPath: "test/interop/webrtc-hot-path.test.ts",
  probes: "test/conformance/webrtc-probes.test.ts",
  floods: "test/conformance/webrtc-floods.test.ts",
  joins: `${room}/join-queue.test.ts`,
  routerPlayers: "test/e2e/playback.test.ts",
  threads: "test/interop/webrtc-threads.test.ts",
  relay: "functions/signalling/signalling-relay.test.ts",
} as const;
const text = Object.fromEntries(
  Object.entries(files).map(([name, path]) => [name, readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")]),
);

type Held = readonly (readonly [file: keyof typeof files, test: string])[];

const afterOffer = ["dialogue", "after an offer: ${name}"] as const;
const wholeSession = [
  "room",
  "signalling: offer, answer, playlist, rendition; media flows; closing the socket ends the session",
] as const;
const changes = [
  "room",
  "signalling: auto is answered at once, another rendition with its key frame, an unknown one is forbidden",
] as const;
const silence = [
  "room",
  "signalling: silence is ended: no request in 10 s, no answer in 15 s, no sign of life in 60 s",
] as const;
const refusals = ["room", "signalling: no such stream, playlist or id is told as recorded, with a close code"] as const;
const drain = ["room", "signalling: drain sends stop, and a request after it closes the socket with 1012"] as const;
const again = [
  "room",
  "signalling: stop from the player ends with 1000; requesting again replaces the session",
] as const;
const forbidden = [
  "room",
  "signalling: an answer that takes nothing is forbidden; unreadable SDP is a bad message",
] as const;
const transports = [
  "room",
  "signalling: transport=tcp gets only the TCP candidate, any other word both, UDP first",
] as const;
const bFrames = ["room", "signalling: B-frames are named as the reason why there is no offer"] as const;
const created = [
  "room",
  "WHEP: an offer is answered 201 with absolute Location, ETag, all candidates; media flows; DELETE ends",
] as const;
const methods = ["room", "WHEP: preflight, health check and wrong methods carry CORS headers"] as const;
const bad = ["room", "WHEP: bad requests are told apart"] as const;
const patch = ["room", "WHEP: PATCH takes candidates for the right ETag only"] as const;
const busy = ["room", "WHEP: a full or draining node says 503 with Retry-After; draining ends its sessions"] as const;
const declined = [
  "room",
  "WHEP: a stream without pictures is heard; the offered picture is declined outside the bundle",
] as const;
const ourOffer = ["sdp", "our offer is ICE-lite, bundled, names its SSRCs, and holds no candidates"] as const;
const ourAnswer = ["sdp", "our answer leaves declined sections out of BUNDLE and lists the candidates once"] as const;
const browserOffer = [
  "sdp",
  "a browser's offer is read: normalized fingerprint, roles, bundled sections, rtx by apt",
] as const;
const profiles = [
  "negotiation",
  "of a viewer's VP9 and AV1 the one of the stream's profile is taken, or none",
] as const;
const rtx = [
  "session",
  "every packet of a NACK is repeated by RTX, with its original number, once in a while",
] as const;
const reports = [
  "session",
  "the first sender reports leave within 100 ms, name both tracks and agree with the media clock",
] as const;
const congested = [
  "session",
  "a viewer whose transport is congested is taken to the next key frame, and counted",
] as const;
const ends = [
  "session",
  "the session ends with BYE, with the transport, and with the stream; holds and timers are given back",
] as const;
const switched = [
  "session",
  "a switch of rendition happens at the target's key frame and keeps numbers and clock going",
] as const;
const probing = [
  "session",
  "in automatic mode it probes with repeated packets, and goes up when the viewer's estimate follows",
] as const;
const burst = [
  "session",
  "a viewer who joins mid-way gets the cached group of pictures at once, from its key frame",
] as const;
const lossy = [
  "players",
  "50 ms away and losing 5 % every packet arrives in the end and no picture stands; losing 15 % it plays on",
] as const;
const outsider = [
  "probes",
  "no probe of an outsider hurts a session, is answered with more than it was, or leaves anything behind",
] as const;
const ownAddress = ["door", "from the viewer's own address, plain, old and invented records change nothing"] as const;
const crowdTold = ["room", "WHEP: who comes in too large a crowd is told to come again, 503 with Retry-After"] as const;
const crowdHeld = ["room", "signalling: in a crowd an offer comes later; a player is not refused"] as const;
const strangers = [
  "door",
  "who knows no user fragment or no password gets no answer, and leaves nothing behind",
] as const;
const moved = ["door", "a new address gets media only after it has answered"] as const;

const rules: Readonly<Record<string, Held>> = {
  "signalling: the default playlist, a named one, an unknown one": [wholeSession, refusals],
  "signalling: direction=send is not playback": [["room", "signalling: who wants to send media is not answered here"]],
  "signalling: transport=udp, tcp, all, udptcp; other words are ignored": [transports],
  "signalling: request_offer first, and again on the same socket": [
    again,
    ["dialogue", "asking twice while an offer is made asks once"],
  ],
  "signalling: every other command carries the id; a wrong one is 400 Invalid ID": [
    refusals,
    ["dialogue", "refuses ${name} as recorded"],
    afterOffer,
  ],
  "signalling: an answer is an object of type answer with a text": [afterOffer, forbidden],
  "signalling: candidates are accepted and not needed": [afterOffer],
  "signalling: change_rendition before the answer is ignored, afterwards by name or auto, else 403": [
    afterOffer,
    changes,
  ],
  "signalling: rendition_changed when it has really happened, auto at once": [changes],
  "signalling: stop ends the session with 1000; so does closing the socket": [again, wholeSession],
  "signalling: no peer to peer; pong is nothing": [afterOffer],
  "signalling: offer with code 200, peer 0, random id, candidates beside the SDP, no ICE servers": [
    wholeSession,
    ourOffer,
  ],
  "signalling: playlist before rendition_changed, with what players read of each rendition": [wholeSession],
  "signalling: a server's stop makes OvenPlayer ask again on its socket": [
    drain,
    ["players", "OvenPlayer starts again by itself, on the same socket, when the stream's tracks change"],
    ["relay", "a draining node's own stop passes on; its player asks again and is taken over"],
  ],
  "signalling: what was on its way when the session ended is no mistake": [
    ["dialogue", "what was on its way when the session ended is no mistake"],
  ],
  "signalling: a whole recorded session": [["dialogue", "a whole recorded session is understood"]],
  "signalling: 10 s to ask, 15 s to answer, a ping every 20 s, 60 s of silence": [silence],
  "signalling: STUN and DTLS may come before the answer": [
    ["door", "no handshake completes before the viewer's fingerprint is known; then it does"],
  ],
  "signalling: 15 s to connect, 30 s of consent": [
    ["door", "a place that nobody takes is closed after 15 s"],
    ["door", "consent ends 30 s after the last authentic packet, and SRTCP counts as one"],
  ],
  "signalling: error texts and close codes": [refusals, forbidden, afterOffer],
  "signalling: a first request is held until the stream can be played": [
    ["room", "signalling: a player that leaves while it is held leaves nothing behind"],
    ["room", "WHEP: a stream that is coming is held for, then 409 with Retry-After"],
  ],
  "signalling: bounds on messages and their number": [
    ["room", "signalling: a flood of messages ends the socket"],
    ["room", "signalling: messages over 64 KiB end the socket; who is not admitted gets no socket"],
    ["dialogue", "every prefix of a message is refused or understood, never thrown at"],
  ],
  "signalling: a session ends with the viewer's policy": [
    ["room", "signalling: a session ends when the viewer's policy does"],
    ["room", "WHEP: a session ends when the viewer's policy does; who is admitted and gets nothing is told of, too"],
  ],
  "signalling: the control server may put another stream in place": [
    [
      "room",
      "what the control server puts in place of the stream is played; WHEP's session keeps the URL it was asked under",
    ],
  ],
  "signalling: B-frames and AAC are withheld, with the reason": [
    bFrames,
    ["session", "tracks WebRTC cannot carry are withheld with a reason"],
    ["session", "a video track whose pictures are reordered is withheld"],
    ["session", "when B-frames begin in the middle, its viewers are ended so that they ask again"],
  ],
  "signalling: automatic switching with probing": [
    probing,
    ["auto", "goes down to what the estimate carries, once it has settled"],
    ["auto", "does not go down while the estimate is rising"],
    ["auto", "heavy loss takes it down whatever the estimate"],
    ["auto", "probes before it goes up, and goes up when the estimate follows"],
    ["auto", "goes down again where a rendition does not hold, and waits longer each time before the next try"],
    ["players", "OvenPlayer lists the renditions and changes to the one its viewer picks"],
  ],

  "WHEP: OPTIONS 204 with Accept-Post and CORS, without authentication": [methods],
  "WHEP: 201 with description, absolute Location, strong ETag, all candidates": [created],
  "WHEP: both forms of the URL": [["room", "WHEP: the direction form works too, with a playlist that must exist"]],
  "WHEP: 415 for other types, 406 for who takes none of ours, 400 for what is no offer, 413 for too much": [bad],
  "WHEP: 422 when no codec fits, never a 201 without a section": [bad, bFrames],
  "WHEP: 409 with Retry-After when the stream is not live in time; 404 when it cannot be": [
    ["room", "WHEP: a stream that is coming is held for, then 409 with Retry-After"],
    bad,
  ],
  "WHEP: 503 with Retry-After when full or draining": [busy],
  "WHEP: PATCH 204, 412, 428, 415, 404; ICE restarts 422": [patch],
  "WHEP: DELETE 200, again for 30 s, then 404": [created],
  "WHEP: GET and HEAD 204, the rest 405": [methods],
  "WHEP: no Link where no ICE server is configured, one a server where there are": [
    created,
    ["room", "WHEP: configured ICE servers stand in Link, a line each; who is refused is not told the password"],
  ],
  "signalling: ICE servers in both spellings, to who asks for a relay only": [
    wholeSession,
    [
      "room",
      "signalling: configured ICE servers are named in both spellings to who asks for a relay, with candidates a relay reaches",
    ],
    ["config", "ICE servers are read with their scheme; what no header can carry is refused"],
  ],
  "WHEP: CORS on every answer, refusals too": [methods, bad],
  "WHEP: 401 with WWW-Authenticate only to who sent no credentials": [
    ["room", "WHEP: who is not admitted learns how to ask"],
  ],
  "WHEP: the session's URL is the authority over it": [
    ["room", "WHEP: who knows the session's URL may end it, whoever may watch by then"],
  ],

  "SDP: ICE-lite, BUNDLE, one msid, SSRCs with one cname, FID": [ourOffer],
  "SDP: a declined section has port 0 and is outside of BUNDLE; bundle-only is not declined": [
    ourAnswer,
    declined,
    ["sdp", "an offer recorded from a GStreamer peer is read"],
  ],
  "SDP: actpass offered, passive answered, a passive viewer refused": [
    ourOffer,
    ourAnswer,
    ["negotiation", "a viewer that insists on being the DTLS server is refused, as offerer and as answerer"],
  ],
  "SDP: the offerer's payload types, rtx by apt, H.264 in packetization mode 1": [browserOffer],
  "SDP: VP9 and AV1 by profile; H.265 and AV1 with level and tier; mono Opus": [
    profiles,
    ["negotiation", "a VP9 stream is offered under its own profile, and taken under it"],
    ["negotiation", "an AV1 stream is offered with profile, level and tier of its sequence header"],
    ["negotiation", "mono Opus says so; without RTX no repetition is offered"],
  ],
  "SDP: without BUNDLE only the first section": [
    ["sdp", "sections are accepted by what the stream has; without BUNDLE only the first"],
  ],
  "SDP: candidates as browsers read them": [["sdp", "candidates are written as browsers read them"], transports],
  "SDP: playout-delay only where configured and agreed on": [
    ["room", "WHEP: who does not know the playout delay, or is not asked for one, gets none"],
    [
      "room",
      "WHEP: a configured playout delay is answered under the viewer's number, and stands in every picture's packets",
    ],
    ["room", "signalling: a configured playout delay is offered, and sent to a player that takes it"],
    ["delay", "both limits stand in units of 10 ms, behind the number both sides agreed on"],
    ["players", "VP8, VP9 and AV1 play, whoever offers; a playout delay is kept by who is asked for one"],
  ],
  "SDP: JitterBuffer and Ulpfec are said not to be offered; transport-cc is not": [
    ["config", "says where something is asked for that is not offered, and nothing where it is off"],
    created,
  ],

  "RTP: packets of every codec come out as they went in": [
    ["rtp", "${codec}: 500 random access units come out of the depacketizer as they went in"],
    ["rtp", "${codec}: 500 random pictures come out of the depacketizer as they went in, key frames known as such"],
    ["rtp", "vp8: pieces fit, begin once, carry one picture id a frame and the marker on the last"],
    ["rtp", "${codec}: one sample is one packet without a marker"],
  ],
  "RTP: parameter sets and sequence headers before every key frame": [
    ["rtp", "h265: VPS, SPS and PPS come from hvcC before a picture that decoding can start at"],
    [
      "rtp",
      "av1: small OBUs share a packet without sizes, a sequence begins with N, and every key frame has its header",
    ],
  ],
  "RTP: one clock for all viewers, numbers that go on": [
    ["session", "timestamps follow the media clock and share one for all viewers"],
    ["session", "sequence numbers wrap, and packets on both sides of it are found again"],
    ["session", "repetitions are numbered on beyond 65,535, and name what they repeat"],
    ["srtp", "${crypto.name}, profile ${profile}: media and repetitions roll over three times, each by its own count"],
    switched,
  ],
  "failover: numbers and times go on through a switch of origin, and nothing is missing": [
    [
      "switches",
      "through three switches of origin in a row a viewer's numbers and times go on, without a picture or a sound missing",
    ],
  ],
  "RTP: a joining viewer begins with the last key frame, never in the middle": [
    burst,
    ["session", "before the first key frame no video is sent, but sound is"],
    ["session", "a cached key frame that is too old is not sent; the next one is waited for"],
  ],
  "RTP: large key frames are paced": [
    ["session", "a large key frame leaves in trains, not at once"],
    ["session", "a viewer that loses packets gets large key frames more slowly"],
  ],
  "recovery: NACK by RTX in full, by the packet itself without": [
    rtx,
    ["session", "without RTX the packet itself is repeated; what is unknown is counted"],
    lossy,
  ],
  "recovery: history of two seconds, a quarter of the bitrate": [
    [
      "session",
      "a NACK is answered for at least two seconds, and repeats stay within a quarter of the track's bitrate",
    ],
  ],
  "recovery: PLI and FIR go upstream once a second, else the next key frame is waited for": [
    ["session", "PLI and FIR reach the source, at most once a second"],
    ["camera", "a camera that begins in the middle, or whose packets are lost, is asked for a key frame once a second"],
    ["camera", "a wish for a key frame goes to a camera that takes it, in the words it knows"],
    ["gstreamer", "a server with feedback makes a key frame when it is asked for one, over TCP and UDP"],
    ["hub", "asks the source for a key frame at most once a second"],
    [
      "session",
      "a viewer that missed the opening burst gets it again, numbers going on; later it waits for the next key frame",
    ],
    ["workers", "its wishes reach the source, its end reaches signalling, and the stream's end reaches it"],
  ],
  "recovery: slow viewers go on at the next key frame": [
    congested,
    ["session", "a viewer who falls out of the history goes on at the newest key frame"],
  ],
  "reports: NTP from the media clock, one cname, lips within 20 ms": [
    reports,
    [
      "session",
      "by the sender reports, every picture and sound has the time it was made: they are less than 1 ms apart",
    ],
  ],
  "reports: round trip, loss and REMB are read; nonsense is counted": [
    ["session", "round trip time is taken from reports that refer to ours"],
    probing,
    ["session", "nonsense in RTCP is counted and hurts nobody"],
  ],

  "truth: ICE, DTLS and RTCP end a session, each for itself; BYE is said": [
    ends,
    ["session", "our own end is told to the viewer by BYE"],
    ["door", "the node's close tells the viewer"],
    ["door", "after the first report, too, both ends can say goodbye"],
  ],
  "truth: figures by stream, bounded in number": [
    ["metrics", "of more streams than anybody looks at, those with the most viewers have series"],
    ["metrics", "series of a stream appear with it, and go with it"],
    [
      "metrics",
      "of ten thousand streams that come and go sums are left, and there were never series of more than two hundred",
    ],
    ["session", "a viewer that goes on asking until a key frame comes has stood once, and not while it begins"],
  ],
  "hot path: no object for a packet where native code sends, one request where it does not": [
    ["hotPath", "cut once, sent to many by native code: no object is made for a packet"],
    ["hotPath", "without native code a packet costs the request that dgram makes of it, and little more"],
  ],
  "threads: the same packets, every application's settings, bounds of their number": [
    ["workers", "a viewer in another thread gets the same packets, from the last key frame on"],
    ["workers", "in one thread every application's viewers are sent by the settings of their own"],
    [
      "workers",
      "a stream takes no more threads than StreamWorkerCount says, an application's streams no more than both allow",
    ],
    ["workers", "a worker that fails ends its own viewers, counted, and is started again"],
    ["threads", "AAC is heard as Opus by viewers in every thread"],
    ["threads", "the second viewer is served by a thread of its own, from the key frame on, on another port"],
  ],

  "door: UDP and TCP on one number, IPv4 and IPv6": [
    ["door", "one port serves IPv4 and IPv6, UDP and TCP, on one number"],
    ["door", "over IPv6 and ${protocol} a viewer connects and receives"],
    ["frames", "packets are the same however the stream is cut"],
    ["players", "where UDP is blocked, transport=tcp plays over ICE-TCP"],
    ["ways", "through the router, over IPv6 and over ICE-TCP"],
    ["players", "it plays over IPv6"],
  ],
  "door: role conflict 487, the last nominated address, proof of a new one": [
    ["door", "a viewer that calls itself controlled is told of the conflict"],
    ["door", "media follows the last nominated address"],
    moved,
    ["door", "a viewer without credentials cannot be asked, and stays where it shook hands"],
  ],
  "W1 spoofed STUN and DTLS": [outsider, ownAddress, strangers],
  "W2 no reflection": [
    ["floods", "whoever is not proven gets no more bytes than were sent, and no more answers than requests"],
    strangers,
    outsider,
    ["door", "a handshake that stops after the first flight gets at most three times what it sent"],
    ["door", "${name}: who shakes hands itself, and invents the address of its last flight, sends no media there"],
    ["door", "${name}: when its TCP connection ends, media goes to no address that has not answered"],
  ],
  "W3 fingerprints": [
    ["floods", "${name}: viewers with another certificate than the signalled one get no keys and no packet"],
    ["door", "${name}: another certificate than the signalled one gets no keys and no packet"],
    ["dtls", "${engine.name}: a CertificateVerify, Certificate or Finished changed on the way gives no keys"],
    ["dtls", "${engine.name}: somebody else's certificate without its key gives no keys"],
  ],
  "W4 consent": [["door", "a thousand viewers that vanish are gone after 35 s, and nothing of them remains"]],
  "W5 floods": [
    outsider,
    ["floods", "junk on the port costs nobody who watches a packet"],
    ["door", "one address opens a bounded number of unproven TCP connections"],
  ],
  "DTLS: fragments are kept within bounds, a flight is sent again": [
    ["dtls", "${engine.name}: fragments without end, of messages without end, are kept within bounds"],
    ["door", "a repeated ClientHello brings the same flight again, from 40 ms on"],
    ["door", "plain alerts during the handshake do not end it"],
  ],
  "sending: what the kernel refuses is sent another way, or dropped and counted": [
    ["udp", "a path that refuses trains gets its packets one by one, all and in order, and no train from then on"],
    ["udp", "what a full socket does not take is dropped and counted; who asks again at once would wait for ever"],
    ["udp", "a call that a signal interrupts is made again"],
  ],
  "W6 replays": [
    ["floods", "a viewer's handshake and report, replayed from its own address, change nothing and are not answered"],
    ownAddress,
    ["replay", "each index is accepted once, however they are shuffled within the window"],
    ["srtp", "${crypto.name}, profile ${profile}: SRTCP goes both ways, once, unchanged only"],
  ],
  "W7 handshakes queue": [
    crowdTold,
    crowdHeld,
    ["joins", "a few viewers do not wait; of a crowd two are let in every 5 ms, in the order they came"],
    ["joins", "who finds no room to wait is refused at once; one address fills half of it"],
    ["floods", "of more players than can be let in the first are served, and the rest are told when to come again"],
    ["queue", "a crowd is worked off in order, in slices of 2 ms"],
    ["queue", "what exceeds its bound is dropped and counted; closing forgets the rest"],
  ],
  "vectors: RFC 3711, 7714, 5769": [
    ["srtp", "session keys are derived as in RFC 3711 §B.3"],
    ["srtp", "the key stream is that of RFC 3711 §B.2"],
    ["srtp", "${crypto.name}: GCM protects RTP as in RFC 7714 §16.1.1"],
    ["srtp", "${crypto.name}: GCM opens and refuses SRTCP around RFC 7714 §17.1"],
    ["stun", "the sample request of RFC 5769 is authentic with its password only"],
    ["stun", "the sample responses of RFC 5769 carry the addresses we would write"],
  ],
  "players: browsers, OvenPlayer, wrtc, GStreamer and Firefox through the router": [
    ["routerPlayers", "a WHEP client follows the 307 and decodes picture and sound, frames in order"],
    [
      "routerPlayers",
      "GStreamer's webrtcbin, with its own DTLS and by AES-CM, decodes 200 pictures and their sound within 10 seconds",
    ],
    ["routerPlayers", "OvenPlayer plays over the router's WebSocket, picture and sound, frames in order"],
    ["routed", "@roamhq/wrtc and Firefox decode 200 pictures in VP8 and their sound through the router"],
  ],
};

for (const [rule, tests] of Object.entries(rules)) {
  test(rule, () => {
    for (const [file, name] of tests) {
      // A long call is broken behind its parenthesis.
      const isThere = ['"', "`"].some((quote) => /test\(\s*$/.test(text[file]!.split(`${quote}${name}${quote}`)[0]!));
      assert.ok(isThere, `${files[file]} has no test "${name}"`);
    }
  });
}

test("every test of signalling and WHEP stands for a rule", () => {
  const named = new Set(Object.values(rules).flatMap((tests) => tests.map(([file, name]) => `${file}: ${name}`)));
  for (const file of ["room", "dialogue", "negotiation"] as const) {
    const all = [...text[file]!.matchAll(/^\s*test\((["`])(.+?)\1,/gm)].map(([, , name]) => `${file}: ${name}`);
    assert.ok(all.length > 3);
    assert.deepEqual(
      all.filter((name) => !named.has(name)),
      [],
    );
  }
});
