import { existsSync, readFileSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";
import { messageOf, SettingError } from "../flow/errors.ts";

/** The certificate of one virtual host, by where its files are. */
export interface CertificateSetting {
  /** Of the virtual host, for messages and for the order in which names are looked at. */
  readonly vhost: string;
  readonly certPath: string;
  readonly keyPath: string;
  readonly chainCertPath?: string;
  /** Whether the virtual host has this name. */
  readonly hasName: (serverName: string) => boolean;
}

/** A certificate with what belongs before it, and its key, as `node:tls` takes them. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly minVersion: "TLSv1.2";
}

interface Loaded {
  readonly setting: CertificateSetting;
  readonly pair: KeyPair;
  readonly context: SecureContext;
}

/** The certificates of a node's virtual hosts: one is chosen for each connection, all can be read again while it serves. */
export class Certificates {
  #loaded: readonly Loaded[] = [];

  /** @throws {SettingError} for a file that cannot be read or used */
  constructor(settings: readonly CertificateSetting[]) {
    this.prepare(settings)();
  }

  /**
   * Reads the certificates of other settings, and changes nothing yet. Virtual hosts whose files were never there are left
   * out, as in OvenMediaEngine, while others have theirs.
   * @returns switches over: connections made from then on get them
   * @throws {SettingError} for a file that cannot be read or used
   */
  prepare(settings: readonly CertificateSetting[]): () => void {
    // The order in which OvenMediaEngine looks at them.
    const sorted = [...settings].sort((a, b) => (a.vhost < b.vhost ? -1 : 1));
    const isLoaded = (name: string): boolean => this.#loaded.some(({ setting: { vhost } }) => vhost === name);
    const there = sorted.filter((setting) => hasFiles(setting) || isLoaded(setting.vhost));
    const loaded = (there.length > 0 ? there : sorted).map((setting) => ({ setting, ...load(setting) }));
    return () => void (this.#loaded = loaded);
  }

  /** Shown where a client names no host, or one that none of the virtual hosts has. */
  get first(): KeyPair | undefined {
    return this.#loaded[0]?.pair;
  }

  /** For the name a client asked for (SNI, RFC 6066 §3). */
  choose(serverName: string): SecureContext | undefined {
    return (this.#loaded.find(({ setting }) => setting.hasName(serverName)) ?? this.#loaded[0])?.context;
  }

  /**
   * Reads every file again. Connections made from now on get the new certificates; one that cannot be used is left as
   * it was.
   * @returns what is wrong, a sentence each
   */
  reload(): readonly string[] {
    const problems: string[] = [];
    this.#loaded = this.#loaded.map((before) => {
      try {
        return { ...before, ...load(before.setting) };
      } catch (thrown) {
        problems.push(messageOf(thrown));
        return before;
      }
    });
    return problems;
  }
}

/** Whether anything lies where a certificate and its key are said to be. */
export function hasFiles({ certPath, keyPath }: Pick<CertificateSetting, "certPath" | "keyPath">): boolean {
  return existsSync(certPath) || existsSync(keyPath);
}

function load({ vhost, certPath, keyPath, chainCertPath }: CertificateSetting): Omit<Loaded, "setting"> {
  const cert = read(certPath, vhost, "CertPath");
  const key = read(keyPath, vhost, "KeyPath");
  const chain = chainCertPath === undefined ? [] : [Buffer.from("\n"), read(chainCertPath, vhost, "ChainCertPath")];
  try {
    const pair: KeyPair = { cert: Buffer.concat([cert, ...chain]), key, minVersion: "TLSv1.2" };
    return { pair, context: createSecureContext(pair) };
  } catch (thrown) {
    const files = `${certPath} and ${keyPath}`;
    const message = `The certificate of virtual host "${vhost}" cannot be used: ${messageOf(thrown)}. Check that ${files} are a certificate and its key in PEM form.`;
    throw new SettingError(message, { cause: thrown });
  }
}

function read(path: string, vhost: string, element: string): Buffer {
  try {
    return readFileSync(path);
  } catch (thrown) {
    const message = `${path} cannot be read (${messageOf(thrown)}): correct Host/TLS/${element} of virtual host "${vhost}" in Server.xml.`;
    throw new SettingError(message, { cause: thrown });
  }
}
