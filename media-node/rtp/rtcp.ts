import { ByteReader } from "../bytes/byte-reader.ts";
import { ByteWriter } from "../bytes/byte-writer.ts";
import { ProtocolError } from "../flow/errors.ts";

/** One reception report block (RFC 3550 §6.4.1). */
export interface ReportBlock {
  readonly ssrc: number;
  /** Share of packets lost since the last report, 0…255 of 256. */
  readonly fractionLost: number;
  /** Signed 24 bit: duplicates can make it negative. */
  readonly cumulativeLost: number;
  /** Extended highest sequence number received. */
  readonly highestSequence: number;
  /** In ticks of the track's RTP clock. */
  readonly jitter: number;
  /** Middle 32 bits of the NTP time in the last sender report received; 0 = none. */
  readonly lastSenderReport: number;
  /** Units of 1/65536 s since then. */
  readonly delaySinceLastSenderReport: number;
}

/** One RTCP packet (RFC 3550 §6, RFC 4585 §6, RFC 5104 §4.3, draft-alvestrand-rmcat-remb). */
export type RtcpPacket =
  | {
      readonly type: "sender-report";
      readonly ssrc: number;
      /** Seconds since 1900 and 1/2³² fractions. */
      readonly ntpSeconds: number;
      readonly ntpFraction: number;
      readonly rtpTimestamp: number;
      readonly packetCount: number;
      readonly octetCount: number;
      readonly reports: readonly ReportBlock[];
    }
  | { readonly type: "receiver-report"; readonly ssrc: number; readonly reports: readonly ReportBlock[] }
  /** Only CNAME items are kept. */
  | { readonly type: "source-description"; readonly chunks: readonly { ssrc: number; cname: string }[] }
  | { readonly type: "bye"; readonly ssrcs: readonly number[] }
  | {
      readonly type: "nack";
      readonly senderSsrc: number;
      readonly mediaSsrc: number;
      /** Missing sequence numbers, ascending as the peer wrote them. */
      readonly sequences: readonly number[];
    }
  | { readonly type: "pli"; readonly senderSsrc: number; readonly mediaSsrc: number }
  | {
      readonly type: "fir";
      readonly senderSsrc: number;
      readonly entries: readonly { ssrc: number; sequence: number }[];
    }
  | {
      readonly type: "remb";
      readonly senderSsrc: number;
      /** Bits per second. */
      readonly bitrate: number;
      readonly ssrcs: readonly number[];
    }
  /** Whatever else a peer may send: skipped, its length being known. */
  | { readonly type: "unknown"; readonly packetType: number; readonly format: number; readonly body: Uint8Array };

const packetTypes = { senderReport: 200, receiverReport: 201, sourceDescription: 202, bye: 203, rtpfb: 205, psfb: 206 };
const feedback = { nack: 1, pli: 1, fir: 4, application: 15 };
const rembMagic = 0x52454d42;

const truncated = (): Error => new ProtocolError("RTCP_TRUNCATED", "the RTCP packet ends early");

/**
 * Parses a datagram of one or more RTCP packets; reduced-size ones (RFC 5506) too.
 *
 *     |V=2|P|   RC    |  packet type  |  length in words − 1  |  body …
 *
 * @throws {ProtocolError} when a length points past the end or a version is not 2
 */
export function parseRtcp(bytes: Uint8Array): RtcpPacket[] {
  const reader = new ByteReader(bytes, truncated);
  const packets: RtcpPacket[] = [];
  do {
    const first = reader.u8();
    if (first >> 6 !== 2) throw new ProtocolError("RTCP_VERSION", `RTCP version ${first >> 6}`);
    const packetType = reader.u8();
    let body = reader.take(reader.u16() * 4);
    if (first & 0x20) body = withoutPadding(body);
    packets.push(parseOne(packetType, first & 31, body));
  } while (reader.remaining > 0);
  return packets;
}

function withoutPadding(body: Uint8Array): Uint8Array {
  const padding = body.at(-1) ?? 0;
  // Padding keeps the words whole (RFC 3550 §6.4.1).
  if (padding === 0 || padding % 4 !== 0 || padding > body.length)
    throw new ProtocolError("RTCP_PADDING", "impossible RTCP padding");
  return body.subarray(0, body.length - padding);
}

function parseOne(packetType: number, format: number, body: Uint8Array): RtcpPacket {
  const reader = new ByteReader(body, truncated);
  switch (packetType) {
    case packetTypes.senderReport:
      return {
        type: "sender-report",
        ssrc: reader.u32(),
        ntpSeconds: reader.u32(),
        ntpFraction: reader.u32(),
        rtpTimestamp: reader.u32(),
        packetCount: reader.u32(),
        octetCount: reader.u32(),
        reports: parseReports(reader, format),
      };
    case packetTypes.receiverReport:
      return { type: "receiver-report", ssrc: reader.u32(), reports: parseReports(reader, format) };
    case packetTypes.sourceDescription:
      return { type: "source-description", chunks: Array.from({ length: format }, () => parseChunk(reader)) };
    case packetTypes.bye:
      return { type: "bye", ssrcs: Array.from({ length: format }, () => reader.u32()) };
    case packetTypes.rtpfb:
      if (format === feedback.nack) return parseNack(reader);
      break;
    case packetTypes.psfb:
      if (format === feedback.pli) return { type: "pli", senderSsrc: reader.u32(), mediaSsrc: reader.u32() };
      if (format === feedback.fir) return parseFir(reader);
      if (format === feedback.application && isRemb(body)) return parseRemb(reader);
      break;
  }
  return { type: "unknown", packetType, format, body };
}

function parseReports(reader: ByteReader, count: number): ReportBlock[] {
  return Array.from({ length: count }, () => {
    const ssrc = reader.u32();
    const fractionLost = reader.u8();
    const lost = reader.u24();
    return {
      ssrc,
      fractionLost,
      cumulativeLost: lost >= 0x800000 ? lost - 0x1000000 : lost,
      highestSequence: reader.u32(),
      jitter: reader.u32(),
      lastSenderReport: reader.u32(),
      delaySinceLastSenderReport: reader.u32(),
    };
  });
}

/** SDES items end with a zero byte; the next chunk begins at the next word (RFC 3550 §6.5). */
function parseChunk(reader: ByteReader): { ssrc: number; cname: string } {
  const start = reader.offset;
  const ssrc = reader.u32();
  let cname = "";
  for (let item = reader.u8(); item !== 0; item = reader.u8()) {
    const text = reader.take(reader.u8());
    if (item === 1) cname = new TextDecoder().decode(text);
  }
  reader.skip((4 - ((reader.offset - start) % 4)) % 4);
  return { ssrc, cname };
}

/** Generic NACK: pairs of a sequence number and a bit mask of the 16 after it (RFC 4585 §6.2.1). */
function parseNack(reader: ByteReader): RtcpPacket {
  const senderSsrc = reader.u32();
  const mediaSsrc = reader.u32();
  const sequences: number[] = [];
  while (reader.remaining > 0) {
    const first = reader.u16();
    const mask = reader.u16();
    sequences.push(first);
    for (let bit = 0; bit < 16; bit++) if (mask & (1 << bit)) sequences.push((first + 1 + bit) & 0xffff);
  }
  return { type: "nack", senderSsrc, mediaSsrc, sequences };
}

function parseFir(reader: ByteReader): RtcpPacket {
  const senderSsrc = reader.u32();
  reader.skip(4);
  const entries: { ssrc: number; sequence: number }[] = [];
  while (reader.remaining > 0) {
    entries.push({ ssrc: reader.u32(), sequence: reader.u8() });
    reader.skip(3);
  }
  return { type: "fir", senderSsrc, entries };
}

function isRemb(body: Uint8Array): boolean {
  return body.length >= 16 && new DataView(body.buffer, body.byteOffset).getUint32(8) === rembMagic;
}

/** Mantissa of 18 bits, exponent of 6 (draft-alvestrand-rmcat-remb-03 §2.2). */
function parseRemb(reader: ByteReader): RtcpPacket {
  const senderSsrc = reader.u32();
  reader.skip(8);
  const count = reader.u8();
  const packed = reader.u24();
  const bitrate = (packed & 0x3ffff) * 2 ** (packed >> 18);
  return { type: "remb", senderSsrc, bitrate, ssrcs: Array.from({ length: count }, () => reader.u32()) };
}

/** Inverse of {@link parseRtcp}: one compound packet. */
export function serializeRtcp(packets: readonly RtcpPacket[]): Uint8Array {
  const writer = new ByteWriter(128);
  for (const packet of packets) serializeOne(packet, writer);
  return writer.finish();
}

function serializeOne(packet: RtcpPacket, out: ByteWriter): void {
  switch (packet.type) {
    case "sender-report":
      header(out, packet.reports.length, packetTypes.senderReport, 24 + packet.reports.length * 24);
      out.u32(packet.ssrc).u32(packet.ntpSeconds).u32(packet.ntpFraction).u32(packet.rtpTimestamp);
      out.u32(packet.packetCount).u32(packet.octetCount);
      return serializeReports(packet.reports, out);
    case "receiver-report":
      header(out, packet.reports.length, packetTypes.receiverReport, 4 + packet.reports.length * 24);
      out.u32(packet.ssrc);
      return serializeReports(packet.reports, out);
    case "source-description":
      return serializeDescription(packet.chunks, out);
    case "bye":
      header(out, packet.ssrcs.length, packetTypes.bye, packet.ssrcs.length * 4);
      for (const ssrc of packet.ssrcs) out.u32(ssrc);
      return;
    case "nack":
      return serializeNack(packet.senderSsrc, packet.mediaSsrc, packet.sequences, out);
    case "pli":
      header(out, feedback.pli, packetTypes.psfb, 8);
      out.u32(packet.senderSsrc).u32(packet.mediaSsrc);
      return;
    case "fir":
      header(out, feedback.fir, packetTypes.psfb, 8 + packet.entries.length * 8);
      out.u32(packet.senderSsrc).u32(0);
      for (const { ssrc, sequence } of packet.entries) out.u32(ssrc).u8(sequence).u24(0);
      return;
    case "remb":
      return serializeRemb(packet.senderSsrc, packet.bitrate, packet.ssrcs, out);
    case "unknown":
      header(out, packet.format, packet.packetType, packet.body.length);
      out.bytes(packet.body);
  }
}

function header(out: ByteWriter, format: number, packetType: number, bodyBytes: number): void {
  out
    .u8(0x80 | format)
    .u8(packetType)
    .u16(bodyBytes / 4);
}

function serializeReports(reports: readonly ReportBlock[], out: ByteWriter): void {
  for (const report of reports) {
    out
      .u32(report.ssrc)
      .u8(report.fractionLost)
      .u24(report.cumulativeLost & 0xffffff)
      .u32(report.highestSequence);
    out.u32(report.jitter).u32(report.lastSenderReport).u32(report.delaySinceLastSenderReport);
  }
}

function serializeDescription(chunks: readonly { ssrc: number; cname: string }[], out: ByteWriter): void {
  const names = chunks.map(({ cname }) => new TextEncoder().encode(cname).subarray(0, 255));
  // SSRC, item type and length, the name, and at least one zero, rounded up to words.
  const sizes = names.map((name) => Math.ceil((4 + 2 + name.length + 1) / 4) * 4);
  header(
    out,
    chunks.length,
    packetTypes.sourceDescription,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  chunks.forEach(({ ssrc }, index) => {
    const name = names[index]!;
    out.u32(ssrc).u8(1).u8(name.length).bytes(name);
    for (let at = 6 + name.length; at < sizes[index]!; at++) out.u8(0);
  });
}

function serializeNack(senderSsrc: number, mediaSsrc: number, sequences: readonly number[], out: ByteWriter): void {
  const pairs: { first: number; mask: number }[] = [];
  for (const sequence of sequences) {
    const last = pairs.at(-1);
    const bit = last ? ((sequence - last.first) & 0xffff) - 1 : -1;
    if (last && bit >= 0 && bit < 16) last.mask |= 1 << bit;
    else pairs.push({ first: sequence, mask: 0 });
  }
  header(out, feedback.nack, packetTypes.rtpfb, 8 + pairs.length * 4);
  out.u32(senderSsrc).u32(mediaSsrc);
  for (const { first, mask } of pairs) out.u16(first).u16(mask);
}

function serializeRemb(senderSsrc: number, bitrate: number, ssrcs: readonly number[], out: ByteWriter): void {
  let exponent = 0;
  while (Math.floor(bitrate / 2 ** exponent) > 0x3ffff) exponent++;
  header(out, feedback.application, packetTypes.psfb, 16 + ssrcs.length * 4);
  out.u32(senderSsrc).u32(0).u32(rembMagic).u8(ssrcs.length);
  out.u24((exponent << 18) | Math.floor(bitrate / 2 ** exponent));
  for (const ssrc of ssrcs) out.u32(ssrc);
}
