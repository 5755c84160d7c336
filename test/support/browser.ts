import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext } from "playwright-core";

const chromiumPath = "/usr/bin/chromium";

/**
 * Debian's Chromium, headless, with an empty profile of its own.
 * @param trusted keys (SHA-256 of the public key, base64) whose certificates it takes for good, whoever signed them
 * @throws Error that says what to install when there is none
 */
export async function openBrowser(trusted: readonly string[] = []): Promise<BrowserContext & AsyncDisposable> {
  if (!existsSync(chromiumPath)) throw new Error("This test needs Chromium: apt-get install chromium");
  const profile = await mkdtemp(join(tmpdir(), "hearth-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    headless: true,
    viewport: { width: 1280, height: 900 },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--autoplay-policy=no-user-gesture-required",
      "--allow-loopback-in-peer-connection",
      ...(trusted.length > 0 ? [`--ignore-certificate-errors-spki-list=${trusted.join(",")}`] : []),
    ],
  });
  return Object.assign(context, {
    async [Symbol.asyncDispose]() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  });
}
