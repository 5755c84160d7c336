import { readFileSync } from "node:fs";

/** Of this program, as package.json has it. */
export const version = readVersion();

function readVersion(): string {
  try {
    const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
    return (JSON.parse(text) as { version?: string }).version ?? "unknown";
  } catch {
    return "unknown";
  }
}
