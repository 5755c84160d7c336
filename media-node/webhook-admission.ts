import { askControlServer, tellControlServer, type WebhookRequest } from "./admission-webhook.ts";
import { chooseVhost } from "./cluster/origin-map/choose-vhost.ts";
import { nameProblem, splitPath } from "./cluster/origin-map/split-path.ts";
import type { AdmissionWebhooksConfig, ServerConfig } from "./config/server-config.ts";
import type { Admitted, AdmitViewer, Refused, ViewerTarget } from "./core/guest.ts";
import type { Logger } from "./flow/logger.ts";
import { policyRequest, publisherOf, vhostOf } from "./policy-admission.ts";
import type { Clock } from "./time/clock.ts";

export interface WebhookAdmissionOptions {
  readonly configNow: () => ServerConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly ask?: typeof askControlServer;
  readonly tell?: typeof tellControlServer;
}

/** Admits viewers as the control server of their virtual host says, and tells it when they are gone. */
export class WebhookAdmission {
  readonly #options: WebhookAdmissionOptions;
  readonly #telling = new Set<Promise<void>>();

  constructor(options: WebhookAdmissionOptions) {
    this.#options = options;
  }

  readonly admit: AdmitViewer = async (target, protocol) => {
    const { configNow, clock, ask = askControlServer } = this.#options;
    const config = configNow();
    const webhooks = vhostOf(config, target)?.admissionWebhooks;
    if (!webhooks?.publishers.includes(publisherOf(protocol))) return { isAdmitted: true };
    const question = questionOf(config, target, protocol, clock.wallMs());
    const verdict = await ask(webhooks, question);
    if (!verdict.isAllowed) return { isAdmitted: false, status: 401, reason: verdict.reason };
    const { lifetimeMs, newUrl } = verdict;
    let isOver = false;
    const onEnd = (): void => {
      if (!isOver) this.#tell(webhooks, question, newUrl ?? question.url);
      isOver = true;
    };
    const moved = this.#move(config, target, protocol, newUrl, question.url);
    // The control server counts who was let in: one that it admitted and we refuse has to be closed, too.
    if (moved?.isAdmitted === false) return (onEnd(), moved);
    return {
      isAdmitted: true,
      onEnd,
      ...(lifetimeMs !== undefined && { endsAtMs: clock.wallMs() + lifetimeMs }),
      ...moved,
    };
  };

  /** Resolves when the control servers know of everybody who is gone, or could not be told within their timeouts. */
  async close(): Promise<void> {
    while (this.#telling.size > 0) await Promise.all(this.#telling);
  }

  #tell(webhooks: AdmissionWebhooksConfig, question: WebhookRequest, newUrl: string): void {
    const { clock, tell = tellControlServer } = this.#options;
    const telling = tell(webhooks, { ...question, wallMs: clock.wallMs() }, newUrl);
    this.#telling.add(telling);
    void telling.finally(() => this.#telling.delete(telling));
  }

  /** What a `new_url` makes of the target; `undefined` when it stays what it is. */
  #move(
    config: ServerConfig,
    target: ViewerTarget,
    protocol: Parameters<AdmitViewer>[1],
    newUrl: string | undefined,
    url: string,
  ): Pick<Admitted, "isAdmitted" | "target"> | Refused | undefined {
    if (newUrl === undefined || newUrl === url) return undefined;
    const parts = /^[a-z][a-z\d+.-]*:\/\/([^/?#\s]+)(\/[^?\s]*)(?:\?(\S*))?$/i.exec(newUrl);
    const [, authority = "", path = "", rawQuery = ""] = parts ?? [];
    const { app, stream, file } = splitPath(path);
    if (!parts || (nameProblem("app", app) ?? nameProblem("stream", stream)) !== undefined) {
      this.#options.logger.warn("new_url of the control server is none and was ignored", { vhost: target.vhost });
      return undefined;
    }
    const choice = chooseVhost(config, authority);
    if (choice.kind === "none") return refuse("the control server sends the viewer to a host that this node has not");
    const vhost = choice.vhost.name;
    if (protocol === "llhls" && vhost !== target.vhost) {
      return refuse("the control server sends the viewer to another virtual host, which LL-HLS players cannot follow");
    }
    // A player that asked for a playlist gets one, whatever the URL names of the stream alone.
    const kept = protocol === "webrtc" ? file : file || target.file;
    const query = new URLSearchParams(rawQuery);
    // What a target works out when it is asked is not copied by itself.
    const { trace, peer, userAgent } = target;
    const still = { trace, ...(peer && { peer }), ...(userAgent !== undefined && { userAgent }) };
    return { isAdmitted: true, target: { ...target, vhost, app, stream, file: kept, rawQuery, query, ...still } };
  }
}

function refuse(reason: string): Refused {
  return { isAdmitted: false, status: 403, reason };
}

function questionOf(
  config: ServerConfig,
  target: ViewerTarget,
  protocol: Parameters<AdmitViewer>[1],
  wallMs: number,
): WebhookRequest {
  const { scheme, host, localPort, path, rawQuery, remoteAddress } = policyRequest(config, target, protocol);
  const hasPort = /:\d+$/.test(host) && !host.endsWith("]");
  return {
    client: {
      address: remoteAddress,
      port: target.peer?.port,
      realAddress: target.remoteAddress,
      userAgent: target.userAgent || undefined,
    },
    protocol: publisherOf(protocol) === "llhls" ? "LLHLS" : "WebRTC",
    url: `${scheme}://${hasPort ? host : `${host}:${localPort}`}${path}${rawQuery && `?${rawQuery}`}`,
    wallMs,
  };
}
