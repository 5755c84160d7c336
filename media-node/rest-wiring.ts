import { readFile } from "node:fs/promises";
import { listenForApi } from "./api/rest/api-server.ts";
import type { RestApi } from "./api/rest/rest-api.ts";
import type { TlsConfig } from "./config/server-config.ts";
import { messageOf, SettingError } from "./flow/errors.ts";
import type { NodeContext } from "./node-context.ts";

/**
 * Opens the ports of `Bind/Managers/API` where Server.xml has them.
 * @returns the ports in use
 * @throws {SettingError} when one cannot be had, or its certificate not be read
 */
export async function openApiPorts({ config, address, group }: NodeContext, api: RestApi): Promise<readonly number[]> {
  const { port, tlsPort } = config.bind.api;
  const { accessToken, tls } = config.managers;
  const open = async (at: number, pair?: { cert: Buffer; key: Buffer }): Promise<number> => {
    const server = await listenForApi({ api, port: at, address, accessToken, ...(pair && { tls: pair }) });
    group.add(() => server.close());
    return server.port;
  };
  const ports: number[] = [];
  if (port !== undefined) ports.push(await open(port));
  if (tlsPort !== undefined) {
    if (!tls)
      throw new SettingError("Bind/Managers/API/TLSPort in Server.xml needs Managers/Host/TLS: CertPath, KeyPath.");
    ports.push(await open(tlsPort, await readPair(tls)));
  }
  return ports;
}

async function readPair({ certPath, keyPath, chainCertPath }: TlsConfig): Promise<{ cert: Buffer; key: Buffer }> {
  try {
    const paths = chainCertPath === undefined ? [certPath] : [certPath, chainCertPath];
    const chain = await Promise.all(paths.map((path) => readFile(path)));
    return { cert: Buffer.concat(chain.flatMap((pem) => [pem, Buffer.from("\n")])), key: await readFile(keyPath) };
  } catch (thrown) {
    throw new SettingError(`Managers/Host/TLS in Server.xml: ${messageOf(thrown)}`, { cause: thrown });
  }
}
