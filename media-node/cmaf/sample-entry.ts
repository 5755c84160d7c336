import type { ByteWriter } from "../bytes/byte-writer.ts";
import { opusClockRate } from "../codecs/opus.ts";
import { writeBox, writeFullBox, writeZeros } from "./box.ts";
import type { CmafTrack } from "./cmaf-track.ts";

/** Appends the sample entry that tells a decoder how to set itself up (ISO 14496-12 §8.5.2). */
export function writeSampleEntry(writer: ByteWriter, track: CmafTrack): void {
  if (track.codec === "h264") writeVisual(writer, "avc1", "avcC", track);
  // Not hev1: Apple's players take parameter sets from the sample entry only.
  else if (track.codec === "h265") writeVisual(writer, "hvc1", "hvcC", track);
  else if (track.codec === "av1") writeVisual(writer, "av01", "av1C", track);
  else if (track.codec === "vp9") writeVisual(writer, "vp09", "vpcC", track);
  else if (track.codec === "aac") writeAudio(writer, "mp4a", track, track.sampleRate, () => writeEsds(writer, track));
  else writeAudio(writer, "Opus", track, opusClockRate, () => writeDops(writer, track));
}

function writeVisual(writer: ByteWriter, type: string, configType: string, track: CmafTrack): void {
  writeBox(writer, type, () => {
    writeZeros(writer, 6);
    writer.u16(1);
    writeZeros(writer, 16);
    writer.u16(track.width).u16(track.height);
    writer.u32(0x00480000).u32(0x00480000).u32(0).u16(1);
    writeZeros(writer, 32);
    writer.u16(24).u16(0xffff);
    if (configType === "vpcC") writeFullBox(writer, configType, 1, 0, () => writer.bytes(track.decoderConfig));
    else writeBox(writer, configType, () => writer.bytes(track.decoderConfig));
  });
}

function writeAudio(writer: ByteWriter, type: string, track: CmafTrack, rate: number, config: () => void): void {
  writeBox(writer, type, () => {
    writeZeros(writer, 6);
    writer.u16(1);
    writeZeros(writer, 8);
    writer.u16(track.channels).u16(16).u32(0);
    // 16.16; a rate that does not fit is told by the decoder configuration alone.
    writer.u32(rate < 65_536 ? rate * 65_536 : 0);
    config();
  });
}

/** Elementary stream descriptor (ISO 14496-1 §7.2.6) for AAC in MP4 (object type indication 0x40). */
function writeEsds(writer: ByteWriter, { decoderConfig }: CmafTrack): void {
  const specific = decoderConfig.length;
  writeFullBox(writer, "esds", 0, 0, () => {
    writer.u8(0x03).u8(3 + 2 + 13 + 2 + specific + 3);
    writer.u16(0).u8(0);
    writer.u8(0x04).u8(13 + 2 + specific);
    writer.u8(0x40).u8(0x15).u24(0).u32(0).u32(0);
    writer.u8(0x05).u8(specific).bytes(decoderConfig);
    writer.u8(0x06).u8(1).u8(0x02);
  });
}

/** OpusSpecificBox (Encapsulation of Opus in ISOBMFF §4.3.2), channel mapping family 0. */
function writeDops(writer: ByteWriter, { channels, sampleRate }: CmafTrack): void {
  // A live stream is joined in the middle, where there is no encoder delay left to skip.
  const preSkip = 0;
  writeBox(writer, "dOps", () =>
    writer
      .u8(0)
      .u8(channels)
      .u16(preSkip)
      .u32(sampleRate || opusClockRate)
      .u16(0)
      .u8(0),
  );
}
