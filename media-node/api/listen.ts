import type { AddressInfo, Server } from "node:net";
import { SettingError } from "../flow/errors.ts";

export interface ListenAt {
  /** 0 = any that is free. */
  readonly port: number;
  /** Undefined = all addresses of this machine. */
  readonly host: string | undefined;
  readonly backlog?: number;
}

/**
 * Begins to listen. What fails afterwards is a connection that could not be accepted (no file descriptors left): that
 * connection's trouble.
 * @param setting what the port was chosen by, for the sentence that says what to do
 * @returns the port
 * @throws {SettingError} when it cannot be had
 */
export async function listenOn(server: Server, { port, host, backlog }: ListenAt, setting: string): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, port, setting));
    server.once("error", onError);
    server.listen({ port, ...(host !== undefined && { host }), ...(backlog !== undefined && { backlog }) }, () => {
      server.off("error", onError);
      server.on("error", () => {});
      resolve();
    });
  });
  return (server.address() as AddressInfo).port;
}

/** A sentence with the remedy for a port that cannot be had. */
export function listenError(error: NodeJS.ErrnoException, port: number, setting: string): Error {
  const remedies: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use: choose another by ${setting}, or end the program that holds it.`,
    EACCES: `Port ${port} may not be opened by this user: choose one above 1023 by ${setting}.`,
    EADDRNOTAVAIL: `The address to listen on is not one of this machine's: check ${setting}.`,
  };
  const remedy = remedies[error.code ?? ""];
  return remedy ? new SettingError(remedy, { cause: error }) : error;
}
