import type { Metric } from "./api/metrics.ts";
import { compareConfigs } from "./config/compare-configs.ts";
import type { ParsedServerXml } from "./config/parse-server-xml.ts";
import type { Problem } from "./config/problem.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import type { LiveConfig } from "./live-config.ts";
import type { Clock } from "./time/clock.ts";

/** What came of a reload: the answer of `POST /-/reload`, its names are stable. */
export interface ReloadOutcome {
  /** Whether the file is in force now; if not, everything is as before. */
  readonly isTaken: boolean;
  /** Of the configuration in force. */
  readonly generation: number;
  /** What follows at once, in words. */
  readonly changes: readonly string[];
  /** Elements that differ and take effect when the node is started again. */
  readonly needRestart: readonly string[];
  /** What keeps the file from being taken: never empty when it was not. */
  readonly errors: readonly Problem[];
  readonly warnings: readonly Problem[];
}

export interface ConfigReloadOptions {
  /** Reads the file and what it includes, again. @throws {SettingError} when it cannot be read */
  readonly read: () => ParsedServerXml;
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Puts a changed Server.xml in force while everything runs: one reload at a time, and one that is asked for meanwhile
 * reads the file after it. A file that is wrong changes nothing.
 */
export class ConfigReload {
  readonly #options: ConfigReloadOptions;
  readonly #started: ServerConfig;
  #running: Promise<ReloadOutcome> | undefined;
  #waiting: Promise<ReloadOutcome> | undefined;
  #isLastTaken = true;
  #lastOkMs: number;
  #lastFailedMs = 0;

  constructor(options: ConfigReloadOptions) {
    this.#options = options;
    this.#started = options.live.now;
    this.#lastOkMs = options.clock.wallMs();
  }

  /** Never rejects. @param cause for the log: a signal, or who asked */
  reload(cause: string): Promise<ReloadOutcome> {
    if (!this.#running) return this.#begin(cause);
    this.#waiting ??= this.#running.then(() => this.#begin(cause));
    return this.#waiting;
  }

  get metrics(): readonly Metric[] {
    const { live } = this.#options;
    return [
      { name: "hearth_config_generation", help: "Configurations taken since the start", read: () => live.generation },
      {
        name: "hearth_config_last_reload_successful",
        help: "0 while the file is wrong and the former configuration holds",
        read: () => (this.#isLastTaken ? 1 : 0),
      },
      {
        name: "hearth_config_last_reload_success_timestamp_seconds",
        help: "When the configuration in force was taken",
        read: () => this.#lastOkMs / 1_000,
      },
      {
        name: "hearth_config_last_reload_failure_timestamp_seconds",
        help: "When a configuration was last refused; 0 = never",
        read: () => this.#lastFailedMs / 1_000,
      },
    ];
  }

  #begin(cause: string): Promise<ReloadOutcome> {
    this.#waiting = undefined;
    const running = this.#reloadNow(cause).finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #reloadNow(cause: string): Promise<ReloadOutcome> {
    const { clock, logger } = this.#options;
    const outcome = await this.#attempt();
    const { generation, changes, needRestart, errors } = outcome;
    this.#isLastTaken = outcome.isTaken;
    if (outcome.isTaken) {
      this.#lastOkMs = clock.wallMs();
      logger.info("configuration reloaded", { cause, generation, changes: changes.join("; ") });
      if (needRestart.length > 0) {
        logger.warn("some settings need a restart", { elements: needRestart.join(", ") });
      }
    } else {
      this.#lastFailedMs = clock.wallMs();
      logger.error("configuration not reloaded: the former one holds", { cause, generation });
      for (const { file, line, path, message, remedy } of errors.slice(0, maxLogged)) {
        logger.error("configuration error", { file, line, path, message, remedy });
      }
    }
    return outcome;
  }

  async #attempt(): Promise<ReloadOutcome> {
    const { read, live } = this.#options;
    let warnings: readonly Problem[] = [];
    try {
      const { config, problems } = read();
      warnings = problems.filter(({ severity }) => severity === "warning");
      if (!config)
        return this.#refused(
          problems.filter(({ severity }) => severity === "error"),
          warnings,
        );
      const difference = compareConfigs(this.#started, live.now, config);
      await live.replace(config);
      return { isTaken: true, generation: live.generation, ...difference, errors: [], warnings };
    } catch (thrown) {
      const message = messageOf(thrown);
      const remedy = "Correct it and reload again: the former configuration holds meanwhile.";
      const at = { path: "", file: "", line: 1 };
      return this.#refused([{ severity: "error", code: "cannot-follow", ...at, message, remedy }], warnings);
    }
  }

  #refused(errors: readonly Problem[], warnings: readonly Problem[]): ReloadOutcome {
    const { generation } = this.#options.live;
    return { isTaken: false, generation, changes: [], needRestart: [], errors, warnings };
  }
}

/** A broken file may have thousands; the answer of the API holds them all. */
const maxLogged = 20;
