import type { ServerConfig } from "./config/server-config.ts";
import type { CloseGroup } from "./flow/close-group.ts";
import type { Logger } from "./flow/logger.ts";
import type { LiveConfig } from "./live-config.ts";
import type { Clock } from "./time/clock.ts";

/** What every part of a node is handed when it is wired. */
export interface NodeContext {
  readonly id: string;
  /** As the node was started: for what is opened once. Everything else asks `live.now`. */
  readonly config: ServerConfig;
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The cluster's secret; undefined in a cluster without one. */
  readonly secret: string | undefined;
  /** Address to listen on; undefined = all. */
  readonly address: string | undefined;
  /** Closes what a part opens, in reverse order. */
  readonly group: CloseGroup;
}
