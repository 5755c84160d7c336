import { BlockList, isIP } from "node:net";
import { SettingError } from "../flow/errors.ts";
import { isLinkTokenValid } from "./link-token.ts";
import type { OriginRequest } from "./origin-dialogue.ts";
import { firstQueryValue } from "./ovt-url.ts";

export interface PeerGuardOptions {
  /** What tokens may be signed with. Undefined: no token is asked. */
  readonly secrets: readonly string[] | undefined;
  /** Addresses and networks (`10.0.0.0/8`, `fd00::/8`, `192.0.2.7`) that need no token: stock OvenMediaEngine edges. */
  readonly trustedPeers: readonly string[];
}

/** The query key under which OvenMediaEngine edges carry a token, in the URL their operator configured. */
export const tokenQueryKey = "key";

/** Decides who may ask for streams. */
export class PeerGuard {
  readonly #secrets: readonly string[] | undefined;
  #trusted: BlockList;

  /** @throws {SettingError} when an entry is neither an address nor a network */
  constructor({ secrets, trustedPeers }: PeerGuardOptions) {
    this.#secrets = secrets;
    this.#trusted = listOf(trustedPeers);
  }

  /**
   * Makes ready to trust other peers than before; who plays goes on.
   * @returns what switches over @throws {SettingError} when an entry is neither an address nor a network
   */
  prepareTrust(trustedPeers: readonly string[]): () => void {
    const next = listOf(trustedPeers);
    return () => void (this.#trusted = next);
  }

  /** Whether every peer may ask. */
  get isOpen(): boolean {
    return this.#secrets === undefined;
  }

  isTrusted(address: string): boolean {
    const plain = address.startsWith("::ffff:") ? address.slice(7) : address;
    const version = isIP(plain);
    return version !== 0 && this.#trusted.check(plain, version === 6 ? "ipv6" : "ipv4");
  }

  /** Whether this request may be answered at all. One that may not gets no byte. */
  admits(request: OriginRequest, address: string, wallMs: number): boolean {
    if (!this.#secrets || this.isTrusted(address)) return true;
    const { app, stream, query } = request.url;
    const token = request.hearth?.token ?? firstQueryValue(query, tokenQueryKey);
    return token !== undefined && isLinkTokenValid(token, { secrets: this.#secrets, app, stream, wallMs });
  }
}

function listOf(entries: readonly string[]): BlockList {
  const list = new BlockList();
  for (const entry of entries) {
    const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(entry.trim()) ?? [];
    const version = isIP(address);
    const longest = version === 6 ? 128 : 32;
    const prefix = bits === undefined ? longest : Number(bits);
    if (version === 0 || prefix > longest) {
      throw new SettingError(`"${entry}" is neither an address nor a network: write 192.0.2.7 or 10.0.0.0/8`);
    }
    list.addSubnet(address, prefix, version === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
