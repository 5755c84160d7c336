/**
 * A peer broke its protocol. Ends that session and nothing else.
 * `code` is stable (`OVT_BAD_VERSION`), counted and safe to match on; `message` is for people and may improve.
 */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A network failed. Ends that connection; the pull life cycle in `core/` owns the retry. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A person's mistake in a setting. Ends the start; `message` says where it stands and what to do about it. */
export class SettingError extends Error {
  override readonly name: string = "SettingError";
}

/** A command was asked for something that makes no sense; `message` says what would. */
export class UsageError extends SettingError {
  override readonly name = "UsageError";
}

/** The text of anything thrown, for a log line. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
