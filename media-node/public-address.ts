import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { ServerConfig } from "./config/server-config.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import { parseStun, readXorMappedAddress, serializeStun, stunTypes } from "./webrtc/transport/stun.ts";

/** A node starts without its public address rather than waiting longer. */
const answerMs = 2_000;
/** As RFC 8489 §6.2.1 asks for: a datagram may be lost. */
const resendMs = 500;

/**
 * What ICE candidates say: `Hearth/AdvertisedAddresses`, else the hosts of `IceCandidates` that are addresses or names, and
 * for `${PublicIP}` what the `StunServer` answers. Empty: this machine's own addresses. What cannot be found out is logged
 * and left out.
 */
export async function advertisedAddresses(
  { hearth, bind, stunServer }: Pick<ServerConfig, "hearth" | "bind" | "stunServer">,
  logger: Logger,
): Promise<readonly string[]> {
  if (hearth.advertisedAddresses.length > 0) return hearth.advertisedAddresses;
  const hosts = new Set(bind.webrtc.iceCandidates.map(({ host }) => host));
  const found = await Promise.all(
    Array.from(hosts, async (host) => {
      try {
        return await addressesOf(host, stunServer);
      } catch (thrown) {
        logger.warn("an ICE candidate's address is not known and not offered", { host, error: messageOf(thrown) });
        return [];
      }
    }),
  );
  return [...new Set(found.flat())];
}

async function addressesOf(host: string, stunServer: string | undefined): Promise<readonly string[]> {
  if (host === "*" || host === "::" || host === "0.0.0.0") return [];
  if (isIP(host) !== 0) return [host];
  if (host === "${PublicIP}") {
    if (stunServer === undefined) throw new Error("${PublicIP} needs a StunServer");
    return [await askStunServer(stunServer)];
  }
  return (await lookup(host, { all: true })).map(({ address }) => address);
}

/**
 * The address this machine has for a STUN server (RFC 8489 §6).
 * @param server `host:port`; 3478 where there is no port
 * @throws Error when there is no answer within 2 s, or none that can be read
 */
export async function askStunServer(server: string, withinMs = answerMs): Promise<string> {
  const [, host = server, port] = /^(.*?)(?::(\d+))?$/.exec(server) ?? [];
  const { address, family } = await lookup(host);
  const transactionId = randomBytes(12).toString("hex");
  const request = serializeStun(stunTypes.bindingRequest, transactionId, []);
  const socket = createSocket(family === 6 ? "udp6" : "udp4");
  const send = (): void => socket.send(request, Number(port ?? 3478), address);
  const resending = setInterval(send, resendMs);
  let giveUp: NodeJS.Timeout | undefined;
  try {
    return await new Promise<string>((resolve, reject) => {
      giveUp = setTimeout(() => reject(new Error(`${server} does not answer`)), withinMs);
      socket.on("error", reject);
      socket.on("message", (bytes) => {
        try {
          const answer = parseStun(bytes);
          const found = answer.transactionId === transactionId ? readXorMappedAddress(answer) : undefined;
          if (found !== undefined) resolve(found);
        } catch {
          // Not what we asked for: the answer may still come.
        }
      });
      send();
    });
  } finally {
    clearInterval(resending);
    clearTimeout(giveUp);
    socket.close();
  }
}
