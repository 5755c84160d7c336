import { copyFile, mkdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { SettingError } from "../../media-node/flow/errors.ts";

const root = join(import.meta.dirname, "../..");

/** The page with its players, as the router serves it. */
export const pageFolder = join(root, "functions/page");

const players = {
  "ovenplayer.js": "node_modules/ovenplayer/dist/ovenplayer.js",
  "hls.min.mjs": "node_modules/hls.js/dist/hls.min.mjs",
};

/** Puts the players from npm beside the page, where they are not yet or have changed. */
export async function bringPlayers(): Promise<void> {
  const vendor = join(pageFolder, "vendor");
  await mkdir(vendor, { recursive: true });
  for (const [name, path] of Object.entries(players)) {
    const source = await stat(join(root, path));
    const present = await stat(join(vendor, name)).catch(() => undefined);
    if (present?.size === source.size && present.mtimeMs >= source.mtimeMs) continue;
    await copyFile(join(root, path), join(vendor, name)).catch((cause: Error) => {
      throw new SettingError(`Cannot write to ${vendor}: make the folder writable for this user.`, { cause });
    });
  }
}
