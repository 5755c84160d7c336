import { loadConfig } from "./config-commands.ts";
import { messageOf, SettingError } from "./flow/errors.ts";

/** How a command is told which node of this machine it is about. */
export interface NodeChosen {
  readonly config?: string | undefined;
  readonly port?: string | undefined;
}

/** A reload reads files and keys; a node that hangs must not have a script hang with it. */
const usualAnswerMs = 30_000;

/** The operators' port of the node on this machine; `HEARTH_OPERATOR_TOKEN` is sent where it is set. */
export class OperatorsDoor {
  readonly port: number;
  readonly #answerMs: number;

  /**
   * @param command as the user typed it, for the sentence that says what is missing
   * @throws {SettingError} when the options name no port, or one that is none: the file's may be another node's
   */
  constructor(command: string, { config, port }: NodeChosen, answerMs = usualAnswerMs) {
    this.#answerMs = answerMs;
    this.port = port === undefined ? portIn(command, config) : portOf(port);
  }

  /**
   * @param accepted statuses that are answers; every other is a refusal
   * @throws {SettingError} when nobody answers, or the node refuses
   */
  async ask(method: "GET" | "POST", path: string, accepted: readonly number[]): Promise<Response> {
    const token = process.env["HEARTH_OPERATOR_TOKEN"];
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let answer: Response;
    try {
      const signal = AbortSignal.timeout(this.#answerMs);
      answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { method, headers, signal });
    } catch (cause) {
      // Whoever hangs is not gone.
      if (cause instanceof DOMException && cause.name === "TimeoutError") {
        const waited = `${this.#answerMs / 1_000} s`;
        throw new SettingError(`The node at port ${this.port} has not answered for ${waited}: look at its log.`, {
          cause,
        });
      }
      const remedy = "is the node running, and is this its OperatorPort?";
      throw new NobodyAnswers(`No node answers at port ${this.port} of this machine: ${remedy} (${messageOf(cause)})`, {
        cause,
      });
    }
    if (accepted.includes(answer.status)) return answer;
    throw new SettingError(`The node refuses (${answer.status}): ${(await answer.text()).trim()}`);
  }
}

/** Nothing listens there, or no more. */
export class NobodyAnswers extends SettingError {}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65_535) return port;
  throw new SettingError(`--port is "${text}": give the node's OperatorPort, a number from 1 to 65535.`);
}

function portIn(command: string, config: string | undefined): number {
  if (config === undefined) throw new SettingError(`Which node? hearth ${command} --config Server.xml, or --port N`);
  // A file that is wrong may still say where the node is; one that does not load at all needs --port.
  const { operatorPort } = loadConfig(config, () => {}).hearth;
  if (operatorPort) return operatorPort;
  const signal = command === "reload" ? "SIGHUP" : "SIGTERM";
  throw new SettingError(`${config} has no Hearth/OperatorPort: send the node ${signal}, or give --port.`);
}
