// What a camera says of its media decides how its packets are read: any description, and any packets after it.
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { planSession } from "../../media-node/rtsp/media-plan.ts";
import { parseSdp } from "../../media-node/sdp/session-description.ts";
import { feedDepacketizer } from "../support/depacketizer-input.ts";

const section = (kind: string, map: string, parameters = ""): string =>
  `m=${kind} 0 RTP/AVP 96\r\na=rtpmap:96 ${map}\r\na=control:trackID=1\r\n${parameters && `a=fmtp:96 ${parameters}\r\n`}`;

const descriptions = [
  section(
    "video",
    "H264/90000",
    "packetization-mode=1;profile-level-id=42c01e;sprop-parameter-sets=Z0LAHtkAoD2hAAAD,aM4G4g==",
  ),
  section("video", "H265/90000", "sprop-vps=QAEMAf//AWAAAAMA;sprop-sps=QgEBAWAAAAMA;sprop-pps=RAHBc9GJ"),
  section("video", "VP8/90000") +
    section("video", "VP9/90000", "profile-id=0") +
    section("video", "AV1/90000", "profile=0"),
  section(
    "audio",
    "MPEG4-GENERIC/48000/2",
    "mode=AAC-hbr;config=1190;sizelength=0;indexlength=3;indexdeltalength=0;ctsdeltalength=0;dtsdeltalength=0;" +
      "randomaccessindication=0;streamstateindication=0;auxiliarydatasizelength=0;constantsize=10",
  ),
  section("audio", "MP4A-LATM/44100/2", "cpresent=0;config=400024203fc0;object=2"),
  section("audio", "MP4A-LATM/44100/2", "cpresent=1"),
  section("audio", "opus/48000/2") + section("audio", "PCMA/8000") + "m=audio 0 RTP/AVP 14\r\n",
];
const packets = [
  [5, 16, 0x00, 0x10, 0x02, 0x08, 0x65, 0x88, 0x84, 0x21, 1, 2, 3, 4, 5, 6, 7, 8],
  [4, 6, 0x7c, 0x85, 1, 2, 3, 4, 1, 6, 0x7c, 0x45, 5, 6, 7, 8],
  [5, 10, 0x62, 0x01, 0x93, 0, 1, 2, 3, 4, 5, 6, 3, 8, 0x60, 0x01, 0, 3, 0x40, 1, 2, 3],
];

const header = "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";

/** A description, a NUL, then packets as {@link feedDepacketizer} takes them. */
export const seeds = descriptions.flatMap((text) =>
  packets.map((bytes) => Buffer.concat([Buffer.from(`${header}${text}\0`), Buffer.from(bytes)])),
);

export function fuzz(input: Uint8Array): void {
  const nul = input.indexOf(0);
  const text = Buffer.from(nul < 0 ? input : input.subarray(0, nul)).toString("latin1");
  try {
    // Parameter sets from the description come once with each key frame, start codes before short units.
    for (const plan of planSession(parseSdp(text)).media.slice(0, 8)) {
      if (nul >= 0) feedDepacketizer(input.subarray(nul + 1), 1_000, plan.createDepacketizer);
    }
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}
