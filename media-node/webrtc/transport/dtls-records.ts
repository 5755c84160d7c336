/** Content types (RFC 6347 §4.1, RFC 5246 §6.2.1). */
export const dtlsContent = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;
export const dtlsHandshake = { clientHello: 1, certificate: 11, clientKeyExchange: 16, certificateVerify: 15 } as const;

const headerBytes = 13;
const maxRecordBytes = (1 << 14) + 2048;
/** In one datagram; flight 5 of a browser has four or five. */
const maxRecords = 32;

/**
 *     | type | version (2) | epoch (2) | sequence (6) | length (2) | fragment …
 */
export interface DtlsRecord {
  readonly type: number;
  readonly epoch: number;
  /** Of an unencrypted handshake record: the message type; else -1. */
  readonly handshakeType: number;
  /** The whole record, as a view into the datagram. */
  readonly bytes: Uint8Array;
}

/**
 * The records of one datagram (RFC 6347 §4.1.1). What cannot be a record ends the list: RFC 6347 §4.1.2.7 lets invalid
 * records be discarded silently.
 */
export function parseDtlsRecords(datagram: Uint8Array): DtlsRecord[] {
  const records: DtlsRecord[] = [];
  let at = 0;
  while (datagram.length - at >= headerBytes && records.length < maxRecords) {
    const type = datagram[at]!;
    const length = (datagram[at + 11]! << 8) | datagram[at + 12]!;
    const end = at + headerBytes + length;
    const isRecord = type >= 20 && type <= 23 && datagram[at + 1] === 0xfe && length <= maxRecordBytes;
    if (!isRecord || end > datagram.length) break;
    const epoch = (datagram[at + 3]! << 8) | datagram[at + 4]!;
    const isPlainHandshake = type === dtlsContent.handshake && epoch === 0 && length >= 12;
    records.push({
      type,
      epoch,
      handshakeType: isPlainHandshake ? datagram[at + headerBytes]! : -1,
      bytes: datagram.subarray(at, end),
    });
    at = end;
  }
  return records;
}

/**
 * Cuts a run of records into datagrams of at most `mtu` bytes (RFC 6347 §4.1.1: a record never spans datagrams).
 * A record longer than `mtu` travels alone.
 */
export function packRecords(bytes: Uint8Array, mtu: number): Uint8Array[] {
  const datagrams: Uint8Array[] = [];
  let begin = 0;
  let at = 0;
  while (bytes.length - at >= headerBytes) {
    const end = Math.min(bytes.length, at + headerBytes + ((bytes[at + 11]! << 8) | bytes[at + 12]!));
    if (end - begin > mtu && at > begin) {
      datagrams.push(bytes.subarray(begin, at));
      begin = at;
    }
    at = end;
  }
  if (at > begin) datagrams.push(bytes.subarray(begin, at));
  return datagrams;
}
