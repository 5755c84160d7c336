/** As much of a namespace of Durable Objects as is used. */
export interface PlayerObjects {
  newUniqueId(): unknown;
  get(id: unknown): { fetch(request: Request): Promise<Response> };
}

/** What the Worker is given: `vars` and secrets of wrangler.jsonc, or the laptop's launcher. Everything is optional. */
export interface RouterEnv {
  /** Signs tickets, checks node records. At least 16 characters. */
  readonly HEARTH_SECRET?: string;
  readonly UPSTASH_REDIS_REST_URL?: string;
  readonly UPSTASH_REDIS_REST_TOKEN?: string;
  /** Opens `/-/explain` and `/-/cluster`. Without it they answer only at a loopback address. */
  readonly HEARTH_OPERATOR_TOKEN?: string;
  /** Host names that viewers may be sent to, separated by commas; `*` stands for any part. Without it: any signed node. */
  readonly HEARTH_NODE_HOSTS?: string;
  /** `managed`: WebRTC signalling moves to another node when its node goes; else it is passed through. */
  readonly HEARTH_SIGNALLING?: string;
  /** `all`: a line in the log for every viewer who is routed; else for one in a hundred, and for those with `traceparent`. */
  readonly HEARTH_LOG_VIEWERS?: string;
  /** Text of the edges' Server.xml: virtual hosts and Origin rules. */
  readonly SERVER_XML?: string;
  /** Where the laptop's launcher stops and starts nodes. */
  readonly LAPTOP_CONTROL_URL?: string;
  /** Objects that hold one player's signalling each; without them the Worker does. */
  readonly PLAYER_SIGNALLING?: PlayerObjects;
  /** The page. */
  readonly ASSETS?: { fetch(request: Request): Promise<Response> };
}
