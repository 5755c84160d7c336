// Debian's Firefox without a window, driven by WebDriver BiDi over its own socket: no driver program is needed.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";

export interface FirefoxPage {
  /** The value of an expression, awaited, as JSON carries it. */
  evaluate(expression: string): Promise<unknown>;
}

export interface Firefox extends AsyncDisposable {
  open(url: string): Promise<FirefoxPage>;
}

const startMs = 30_000;
const preferences = {
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "app.update.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "browser.shell.checkDefaultBrowser": false,
};

/** Starts one with a profile of its own. */
export async function openFirefox(): Promise<Firefox> {
  const profile = await mkdtemp(join(tmpdir(), "hearth-firefox-"));
  const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`);
  await writeFile(join(profile, "user.js"), lines.join("\n"));
  const args = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank"];
  const child = spawn("/usr/bin/firefox-esr", args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, HOME: profile, MOZ_DISABLE_CONTENT_SANDBOX: "1" },
  });
  const exited = once(child, "exit");
  const dispose = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
    await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  try {
    const driver = await BidiSocket.open(await endpointOf(child.stderr));
    return {
      open: (url) => driver.openPage(url),
      [Symbol.asyncDispose]: async () => {
        driver.close();
        await dispose();
      },
    };
  } catch (thrown) {
    await dispose();
    throw thrown;
  }
}

async function endpointOf(output: NodeJS.ReadableStream): Promise<string> {
  const said: string[] = [];
  const deadline = setTimeout(() => output.emit("end"), startMs);
  try {
    for await (const line of createInterface(output)) {
      said.push(line);
      const found = /WebDriver BiDi listening on (ws:\S+)/.exec(line)?.[1];
      if (found) return `${found}/session`;
    }
  } finally {
    clearTimeout(deadline);
  }
  throw new Error(`Firefox did not start: ${said.slice(-5).join(" ")}`);
}

interface Evaluated {
  readonly type: string;
  readonly result?: { readonly value?: unknown };
  readonly exceptionDetails?: { readonly text: string };
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: string;
  readonly message?: string;
}

class BidiSocket {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #id = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      const answer = JSON.parse(data.toString("utf8")) as Answer;
      if (answer.id === undefined) return;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  static async open(url: string): Promise<BidiSocket> {
    const socket = new WebSocket(url);
    await once(socket, "open");
    const driver = new BidiSocket(socket);
    await driver.#send("session.new", { capabilities: {} });
    return driver;
  }

  async openPage(url: string): Promise<FirefoxPage> {
    const { context } = (await this.#send("browsingContext.create", { type: "tab" })) as { context: string };
    await this.#send("browsingContext.navigate", { context, url, wait: "complete" });
    return {
      evaluate: async (expression) => {
        const json = `(async () => JSON.stringify(await (${expression})) ?? "null")()`;
        const evaluated = (await this.#send("script.evaluate", {
          expression: json,
          target: { context },
          awaitPromise: true,
        })) as Evaluated;
        if (evaluated.type !== "success") throw new Error(evaluated.exceptionDetails?.text ?? "the page threw");
        return JSON.parse(String(evaluated.result?.value));
      },
    };
  }

  close(): void {
    this.#socket.terminate();
  }

  async #send(method: string, params: object): Promise<unknown> {
    const id = ++this.#id;
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error, message } = await answered;
    if (error !== undefined) throw new Error(`${method}: ${error}: ${message ?? ""}`);
    return result;
  }
}
