import { ByteWriter } from "../bytes/byte-writer.ts";
import { writeBox, writeFourCc, writeFullBox, writeZeros } from "./box.ts";
import { onlyTrackId, type CmafTrack } from "./cmaf-track.ts";
import { writeSampleEntry } from "./sample-entry.ts";

/**
 * The CMAF header (ISO 23000-19 §7.3.1) of one track: the same bytes for the same track, always.
 * @param track its `decoderConfig` must fit a descriptor (AAC: at most 100 bytes)
 */
export function serializeInitSegment(track: CmafTrack): Uint8Array {
  const writer = new ByteWriter(1024);
  writeBox(writer, "ftyp", () => {
    for (const brand of ["iso8", "", "iso6", "mp42", "cmfc", "hlsf"]) {
      if (brand === "") writer.u32(0);
      else writeFourCc(writer, brand);
    }
  });
  writeBox(writer, "moov", () => {
    writeMovieHeader(writer);
    writeTrack(writer, track);
    writeBox(writer, "mvex", () =>
      writeFullBox(writer, "trex", 0, 0, () => writer.u32(onlyTrackId).u32(1).u32(0).u32(0).u32(0)),
    );
  });
  return writer.finish().slice();
}

function writeMovieHeader(writer: ByteWriter): void {
  writeFullBox(writer, "mvhd", 0, 0, () => {
    writer.u32(0).u32(0).u32(1000).u32(0).u32(0x00010000).u16(0x0100);
    writeZeros(writer, 10);
    writeMatrix(writer);
    writeZeros(writer, 24);
    writer.u32(onlyTrackId + 1);
  });
}

function writeMatrix(writer: ByteWriter): void {
  for (const value of [0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000]) writer.u32(value);
}

function writeTrack(writer: ByteWriter, track: CmafTrack): void {
  const isVideo = track.kind === "video";
  writeBox(writer, "trak", () => {
    writeFullBox(writer, "tkhd", 0, 7, () => {
      writer.u32(0).u32(0).u32(onlyTrackId).u32(0).u32(0);
      writeZeros(writer, 8);
      writer
        .u16(0)
        .u16(0)
        .u16(isVideo ? 0 : 0x0100)
        .u16(0);
      writeMatrix(writer);
      writer.u32(track.width * 65_536).u32(track.height * 65_536);
    });
    writeBox(writer, "mdia", () => {
      writeFullBox(writer, "mdhd", 0, 0, () => writer.u32(0).u32(0).u32(track.timescale).u32(0).u16(0x55c4).u16(0));
      writeFullBox(writer, "hdlr", 0, 0, () => {
        writer.u32(0);
        writeFourCc(writer, isVideo ? "vide" : "soun");
        writeZeros(writer, 13);
      });
      writeBox(writer, "minf", () => {
        if (isVideo) writeFullBox(writer, "vmhd", 0, 1, () => writeZeros(writer, 8));
        else writeFullBox(writer, "smhd", 0, 0, () => writeZeros(writer, 4));
        writeBox(writer, "dinf", () =>
          writeFullBox(writer, "dref", 0, 0, () => {
            writer.u32(1);
            writeFullBox(writer, "url ", 0, 1, () => {});
          }),
        );
        writeSampleTable(writer, track);
      });
    });
  });
}

/** Empty tables: every sample stands in a fragment. */
function writeSampleTable(writer: ByteWriter, track: CmafTrack): void {
  writeBox(writer, "stbl", () => {
    writeFullBox(writer, "stsd", 0, 0, () => {
      writer.u32(1);
      writeSampleEntry(writer, track);
    });
    writeFullBox(writer, "stts", 0, 0, () => writer.u32(0));
    writeFullBox(writer, "stsc", 0, 0, () => writer.u32(0));
    writeFullBox(writer, "stsz", 0, 0, () => writer.u32(0).u32(0));
    writeFullBox(writer, "stco", 0, 0, () => writer.u32(0));
  });
}
