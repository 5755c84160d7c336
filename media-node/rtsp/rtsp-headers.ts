/** Longer values of these headers are cut: no server needs more, and matching must stay quick. */
const maxValueLength = 8 * 1024;

/** `Session: id;timeout=60` (RFC 2326 §12.37). */
export interface SessionHeader {
  readonly id: string;
  readonly timeoutMs: number | undefined;
}

export function parseSessionHeader(value: string): SessionHeader {
  const [id = "", ...parameters] = value
    .slice(0, maxValueLength)
    .split(";")
    .map((item) => item.trim());
  const timeout = parameters.map((item) => /^timeout\s*=\s*"?(\d{1,7})/i.exec(item)?.[1]).find(Boolean);
  return { id, timeoutMs: timeout === undefined || Number(timeout) === 0 ? undefined : Number(timeout) * 1000 };
}

/** What a server made of our wish for a transport (RFC 2326 §12.39). Absent fields were not in the answer. */
export interface TransportHeader {
  readonly isTcp: boolean;
  readonly isMulticast: boolean;
  /** RTP and RTCP channel of an interleaved transport. */
  readonly interleaved?: readonly [number, number];
  readonly serverPorts?: readonly [number, number];
  readonly clientPorts?: readonly [number, number];
  /** Where the server sends from, when it differs from where it listens. */
  readonly source?: string;
  readonly ssrc?: number;
}

/** The first transport of the list. Lenient: blanks, quotes, a single port or channel instead of a pair. */
export function parseTransportHeader(value: string): TransportHeader {
  const [profile = "", ...items] = (value.slice(0, maxValueLength).split(",")[0] ?? "")
    .split(";")
    .map((item) => item.trim());
  const parameters = new Map(
    items.map((item) => {
      const equals = item.indexOf("=");
      const name = (equals < 0 ? item : item.slice(0, equals)).trim().toLowerCase();
      return [
        name,
        equals < 0
          ? ""
          : item
              .slice(equals + 1)
              .trim()
              .replace(/^"|"$/g, ""),
      ] as const;
    }),
  );
  const interleaved = parsePair(parameters.get("interleaved"), 255);
  const serverPorts = parsePair(parameters.get("server_port"), 65_535);
  const clientPorts = parsePair(parameters.get("client_port"), 65_535);
  const source = parameters.get("source");
  const ssrc = /^[0-9a-f]{1,8}$/i.exec(parameters.get("ssrc") ?? "")?.[0];
  return {
    isTcp: /\/TCP$/i.test(profile) || interleaved !== undefined,
    isMulticast: parameters.has("multicast"),
    ...(interleaved && { interleaved }),
    ...(serverPorts && { serverPorts }),
    ...(clientPorts && { clientPorts }),
    ...(source && { source }),
    ...(ssrc !== undefined && { ssrc: Number.parseInt(ssrc, 16) }),
  };
}

/** `a-b`, or `a` alone, which means `a` and the next. */
function parsePair(value: string | undefined, max: number): readonly [number, number] | undefined {
  const match = /^(\d{1,5})(?:\s*-\s*(\d{1,5}))?/.exec(value ?? "");
  if (!match) return undefined;
  const first = Number(match[1]);
  const second = match[2] === undefined ? first + 1 : Number(match[2]);
  return first <= max && second <= max ? [first, second] : undefined;
}

/** One stream of an `RTP-Info` header (RFC 2326 §12.33). */
export interface RtpInfo {
  readonly url: string;
  readonly sequence: number | undefined;
  readonly rtpTimestamp: number | undefined;
}

/** Splits at commas that begin a new `url=`, since URLs may hold commas and semicolons themselves. */
export function parseRtpInfo(value: string): RtpInfo[] {
  const entries = value.slice(0, maxValueLength).split(/,\s*(?=url\s*=)/i);
  return entries.flatMap((entry) => {
    const url = /^\s*url\s*=/i.exec(entry)?.[0];
    if (url === undefined) return [];
    const rest = entry.slice(url.length);
    const parametersAt = rest.search(/;\s*(?:seq|rtptime|ssrc)\s*=/i);
    const text = (parametersAt < 0 ? rest : rest.slice(0, parametersAt)).trim();
    const sequence = /;\s*seq\s*=\s*(\d{1,10})/i.exec(rest)?.[1];
    const rtpTimestamp = /;\s*rtptime\s*=\s*(\d{1,10})/i.exec(rest)?.[1];
    return [
      {
        url: text.replace(/^"|"$/g, ""),
        sequence: sequence === undefined ? undefined : Number(sequence) & 0xffff,
        rtpTimestamp: rtpTimestamp === undefined ? undefined : Number(rtpTimestamp) % 2 ** 32,
      },
    ];
  });
}
