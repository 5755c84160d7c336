import { NoSuchStream } from "../core/source.ts";
import { messageOf, ProtocolError, TransportError } from "../flow/errors.ts";

/** A failed connection as a sentence an operator can act on. */
export function connectionError(cause: unknown, host: string, port: number): TransportError {
  if (cause instanceof TransportError) return cause;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const place = `${host}:${port}`;
  const said: Record<string, string> = {
    ECONNREFUSED: `nothing listens at ${place} (connection refused)`,
    ECONNRESET: `${place} reset the connection`,
    ETIMEDOUT: `${place} does not answer (timed out)`,
    EHOSTUNREACH: `there is no way to ${place} (host unreachable)`,
    ENETUNREACH: `there is no way to ${place} (network unreachable)`,
    ENOTFOUND: `the name ${host} does not resolve`,
    EAI_AGAIN: `the name ${host} cannot be resolved now`,
  };
  return new TransportError(
    `RTSP_${code || "CONNECT"}`,
    said[code] ?? `no connection to ${place}: ${messageOf(cause)}`,
    {
      cause,
    },
  );
}

/** A refused request as the error the pull life cycle understands. */
export function refusalError(
  { method, status, reason }: { readonly method: string; readonly status: number; readonly reason: string },
  hasCredentials: boolean,
): Error {
  const said = `${method} was answered ${status} ${reason}`.trim();
  if (status === 404 || status === 410) return new NoSuchStream(`the server has no such stream (${said})`);
  if (status === 401 || status === 403) {
    const why = hasCredentials
      ? "the server does not accept the URL's user and password"
      : "the server wants a user and password; put them in the rule's URL";
    return new ProtocolError("RTSP_UNAUTHORIZED", `${why} (${said})`);
  }
  if (status === 461)
    return new ProtocolError("RTSP_TRANSPORT", `the server does not send over this transport (${said})`);
  if (status === 453 || status === 503) return new TransportError("RTSP_BUSY", `the server is at its limit (${said})`);
  return new ProtocolError("RTSP_REFUSED", said);
}
