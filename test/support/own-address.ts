import { networkInterfaces } from "node:os";

/** An IPv4 address of this machine that is not loopback: some players' ICE uses no other. */
export function ownAddress(): string {
  const found = Object.values(networkInterfaces())
    .flat()
    .find((entry) => entry && !entry.internal && entry.family === "IPv4");
  if (!found) throw new Error("This test needs an IPv4 address besides loopback");
  return found.address;
}
