import { isIP } from "node:net";
import type { LogFields, Logger } from "./flow/logger.ts";

/**
 * A logger that says of viewers' addresses only the network, while Server.xml asks for that (`PrivacyProtection`).
 * @param isPrivate asked for every line, so that a reload counts
 */
export function privateLogger(logger: Logger, isPrivate: () => boolean): Logger {
  return wrap(logger, {}, isPrivate);
}

/** Viewers' fields are kept apart until a line is written: by then the answer may be another. */
function wrap(logger: Logger, kept: LogFields, isPrivate: () => boolean): Logger {
  const fields = (more: LogFields = {}): LogFields => {
    const all = { ...kept, ...more };
    return typeof all["viewer"] === "string" && isPrivate() ? { ...all, viewer: maskAddress(all["viewer"]) } : all;
  };
  return {
    debug: (event, more) => logger.debug(event, fields(more)),
    info: (event, more) => logger.info(event, fields(more)),
    warn: (event, more) => logger.warn(event, fields(more)),
    error: (event, more) => logger.error(event, fields(more)),
    with: ({ viewer, ...others }) =>
      wrap(logger.with(others), viewer === undefined ? kept : { ...kept, viewer }, isPrivate),
  };
}

/** `192.0.2.7` → `192.0.2.x`, `2001:db8:1:2::7` → `2001:db8:1:x`: the network that a provider gives to many. */
export function maskAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return maskAddress(mapped);
  if (isIP(address) === 4) return address.replace(/\d+$/, "x");
  if (isIP(address) !== 6) return "x";
  const [front = "", back] = address.split("::", 2);
  const groups = front === "" ? [] : front.split(":");
  const missing = back === undefined ? [] : ["0", "0", "0"];
  return `${[...groups, ...missing].slice(0, 3).join(":")}:x`;
}
