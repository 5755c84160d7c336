import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { listenForApi, type ApiCertificate, type ApiServer } from "./api/rest/api-server.ts";
import type { RestApi } from "./api/rest/rest-api.ts";
import type { CrossDomainsConfig, ServerConfig, TlsConfig } from "./config/server-config.ts";
import { messageOf, SettingError } from "./flow/errors.ts";
import type { NodeContext } from "./node-context.ts";

/** What `Bind/Managers/API` opened. */
export interface ApiDoor {
  readonly ports: readonly number[];
  /**
   * Reads the certificate again; connections made from now on get it. One that cannot be used is left as it was.
   * @returns what is wrong, a sentence each
   */
  readonly reloadCertificate: () => Promise<readonly string[]>;
}

/**
 * Opens the ports of `Bind/Managers/API` where Server.xml has them; their token and certificate follow a reload.
 * @throws {SettingError} when one cannot be had, or its certificate not be used
 */
export async function openApiPorts({ config, live, address, group }: NodeContext, api: RestApi): Promise<ApiDoor> {
  const { port, tlsPort } = config.bind.api;
  const accessToken = (): string | undefined => live.now.managers.accessToken;
  const crossDomains = (): CrossDomainsConfig | undefined => live.now.managers.crossDomains;
  const open = async (at: number, tls?: ApiCertificate): Promise<ApiServer> => {
    const server = await listenForApi({ api, port: at, address, accessToken, crossDomains, ...(tls && { tls }) });
    group.add(() => server.close());
    return server;
  };
  const plain = port === undefined ? undefined : await open(port);
  const secure = tlsPort === undefined ? undefined : await open(tlsPort, await readPair(config));
  const prepare = async (next: ServerConfig): Promise<() => void> => {
    const pair = secure && (await readPair(next));
    return () => {
      if (pair) secure.useCertificate(pair);
    };
  };
  group.add(live.addPart({ prepare }));
  return {
    ports: [plain, secure].flatMap((server) => server?.port ?? []),
    reloadCertificate: () =>
      prepare(live.now).then(
        (switchOver) => (switchOver(), []),
        (thrown: unknown) => [messageOf(thrown)],
      ),
  };
}

async function readPair({ managers: { tls } }: ServerConfig): Promise<ApiCertificate> {
  if (!tls)
    throw new SettingError("Bind/Managers/API/TLSPort in Server.xml needs Managers/Host/TLS: CertPath, KeyPath.");
  try {
    return await readFiles(tls);
  } catch (thrown) {
    throw new SettingError(`Managers/Host/TLS in Server.xml: ${messageOf(thrown)}`, { cause: thrown });
  }
}

/** @throws Error when a file is not there, or they are no certificate and its key */
async function readFiles({ certPath, keyPath, chainCertPath }: TlsConfig): Promise<ApiCertificate> {
  const paths = chainCertPath === undefined ? [certPath] : [certPath, chainCertPath];
  const chain = await Promise.all(paths.map((path) => readFile(path)));
  const pair = { cert: Buffer.concat(chain.flatMap((pem) => [pem, Buffer.from("\n")])), key: await readFile(keyPath) };
  createSecureContext(pair);
  return pair;
}
