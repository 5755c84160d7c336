import type { IncomingMessage, ServerResponse } from "node:http";
import { findApplication } from "../../config/find-application.ts";
import type { ServerConfig, VhostConfig } from "../../config/server-config.ts";
import type { PullPlan } from "../../core/pull-plan.ts";
import type { StatisticsBook } from "../../core/statistics-book.ts";
import type { ListedStream, StreamHub } from "../../core/stream-hub.ts";
import type { StreamName } from "../../core/stream-name.ts";
import { messageOf } from "../../flow/errors.ts";
import type { Logger } from "../../flow/logger.ts";
import type { Clock } from "../../time/clock.ts";
import { notThere, ok, readOnly, RestError, sendAnswer, type RestAnswer } from "./envelope.ts";
import { isPullable, parsePullRequest } from "./pull-request.ts";
import { appJson, figuresJson, isoTime, pullJson, streamJson, versionJson, vhostJson } from "./rest-json.ts";
import { parseRestPath, type RestPath } from "./rest-paths.ts";
import { parseSendSubtitles, sendSubtitles } from "./send-subtitles.ts";

export interface RestApiOptions {
  readonly configNow: () => ServerConfig;
  readonly hub: StreamHub;
  readonly book: StatisticsBook;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version: string;
  /** Reads the certificates again; what is wrong with them, a sentence each. */
  readonly reloadCertificates: () => readonly string[];
  /** The same for the certificate of the API's own port. */
  readonly reloadApiCertificate: () => Promise<readonly string[]>;
}

const maxBodyBytes = 1024 * 1024;
const bodyMs = 10_000;

/**
 * OvenMediaEngine's REST API below `/v1` as far as an edge cluster uses it: virtual hosts, applications, streams, pulls,
 * statistics; and what it lacks: DELETE that works for every stream, the list of viewers, and sending one away. Who may
 * call is decided before.
 */
export class RestApi {
  readonly #options: RestApiOptions;

  constructor(options: RestApiOptions) {
    this.#options = options;
  }

  /** False for what does not lie below `/v1`. */
  readonly handle = (request: IncomingMessage, response: ServerResponse): boolean => {
    const path = parseRestPath(request.url ?? "/");
    if (!path) return false;
    this.#answer(request, path)
      .catch((thrown: unknown): RestAnswer => {
        if (thrown instanceof RestError) return { statusCode: thrown.statusCode, message: thrown.message };
        this.#options.logger.error("an API call failed", { error: messageOf(thrown) });
        return { statusCode: 500, message: "Internal server error" };
      })
      .then((answer) => response.headersSent || sendAnswer(response, answer))
      .catch((thrown: unknown) => this.#options.logger.error("an API call not answered", { error: messageOf(thrown) }));
    return true;
  };

  async #answer(request: IncomingMessage, path: RestPath): Promise<RestAnswer> {
    const method = request.method === "HEAD" ? "GET" : (request.method ?? "GET");
    if (path.action === "sendSubtitles") return this.#sendSubtitles(request, method, path);
    if (path.action !== "") return this.#act(method, path);
    if (path.root === "version" && method === "GET") return ok(versionJson(this.#options.version));
    if (path.root === "stats" && method === "GET") return this.#statistics(path);
    if (path.root !== "vhosts") throw nothingHere;
    switch (path.level) {
      case "vhosts":
        if (method === "GET") return ok(this.#options.configNow().vhosts.map(({ name }) => name));
        break;
      case "vhost":
        return this.#onVhost(method, this.#vhost(path));
      case "apps":
        if (method === "GET") return ok(this.#apps(this.#vhost(path)));
        if (method === "POST") throw readOnly("VirtualHost", this.#vhost(path).name);
        break;
      case "app":
        return this.#onApp(method, path);
      case "streams":
        if (method === "POST") return this.#pull(request, path);
        if (method === "GET") return ok(this.#streamsOf(path).map(({ stream }) => stream.name.stream));
        break;
      case "stream":
        return this.#onStream(method, path);
      case "viewers":
      case "viewer":
        return this.#onViewers(method, path);
    }
    throw nothingHere;
  }

  async #act(method: string, { root, level, action, ...path }: RestPath): Promise<RestAnswer> {
    const isAll = root === "vhosts" && level === "vhosts" && action === "reloadAllCertificates";
    const isOne = root === "vhosts" && level === "vhost" && action === "reloadCertificate";
    const isOwn = root === "managers/api" && action === "reloadCertificate";
    if (method !== "POST" || !(isAll || isOne || isOwn)) throw nothingHere;
    if (isOne) this.#vhost(path);
    const problems = isOwn ? await this.#options.reloadApiCertificate() : this.#options.reloadCertificates();
    if (problems.length > 0) throw new RestError(500, problems.join(" "));
    return ok();
  }

  async #sendSubtitles(request: IncomingMessage, method: string, path: RestPath): Promise<RestAnswer> {
    if (method !== "POST" || path.root !== "vhosts" || path.level !== "stream") throw nothingHere;
    const { stream } = this.#stream(path);
    sendSubtitles(stream, parseSendSubtitles(await readBody(request)));
    return ok();
  }

  #onVhost(method: string, vhost: VhostConfig): RestAnswer {
    if (method === "GET") return ok(vhostJson(vhost));
    if (method === "DELETE" || method === "PATCH") throw readOnly("VirtualHost", vhost.name);
    throw nothingHere;
  }

  /** Declared ones, and those that the template was used for. */
  #apps(vhost: VhostConfig): string[] {
    const declared = vhost.applications.filter(({ isTemplate }) => !isTemplate).map(({ name }) => name);
    const live = this.#options.hub
      .list()
      .flatMap(({ stream: { name } }) => (name.vhost === vhost.name ? name.app : []));
    return [...new Set([...declared, ...live])];
  }

  async #onApp(method: string, path: RestPath): Promise<RestAnswer> {
    const { application, isDynamic } = this.#application(path);
    if (method === "GET") return ok(appJson(application, isDynamic));
    if (method !== "DELETE" && method !== "PATCH") throw nothingHere;
    if (!isDynamic || method === "PATCH") throw readOnly("Application", application.name);
    for (const { stream } of this.#streamsOf(path)) await this.#options.hub.end(stream.name, { code: "deleted" });
    return ok();
  }

  async #onStream(method: string, path: RestPath): Promise<RestAnswer> {
    const listed = this.#stream(path);
    const { name } = listed.stream;
    if (method === "GET")
      return ok(streamJson(listed, this.#options.book.stream(name), this.#application(path).application));
    if (method !== "DELETE") throw nothingHere;
    await this.#options.hub.end(name, { code: "deleted", message: "by the API" });
    return ok();
  }

  #onViewers(method: string, path: RestPath): RestAnswer {
    const { hub, clock } = this.#options;
    const viewers = hub.holders(this.#stream(path).stream.name);
    if (path.level === "viewers" && method === "GET") {
      const startWallMs = clock.wallMs() - clock.nowMs();
      return ok(
        viewers.map(({ protocol, holder: { id, address, sinceMs } }) => ({
          id,
          protocol,
          address,
          sinceTime: isoTime(startWallMs + sinceMs),
        })),
      );
    }
    const { viewer } = path;
    if (viewer === undefined || method !== "DELETE") throw nothingHere;
    const found = viewers.find(({ holder }) => holder.id === viewer);
    if (!found) throw notThere("viewer", viewer);
    found.holder.end({ code: "kicked", message: "by the API" });
    return ok();
  }

  async #pull(request: IncomingMessage, path: RestPath): Promise<RestAnswer> {
    const vhost = this.#vhost(path);
    // Pulled streams are added to applications that are there; none is made for them.
    if (!vhost.applications.some(({ name }) => name === path.app) && !this.#apps(vhost).includes(path.app!))
      throw notThere("application", `${vhost.name}/${path.app}`);
    const { name, urls, properties } = parsePullRequest(await readBody(request));
    const origins = vhost.origins.properties;
    const plan: PullPlan = {
      urls,
      from: "api",
      noInputTimeoutMs: origins.noInputFailoverTimeoutMs,
      unusedTimeoutMs: origins.unusedStreamDeletionTimeoutMs,
      graceMs: this.#options.configNow().hearth.graceTimeoutMs,
      retryCount: origins.retryCount ?? 1,
      isPersistent: false,
      ...properties,
    };
    const stream = { vhost: vhost.name, app: path.app!, stream: name };
    if (!urls.every(isPullable)) throw new RestError(502, `Could not pull the stream: [${name}]`);
    const outcome = await this.#options.hub.pull(stream, plan).catch((thrown: unknown) => {
      this.#options.logger.warn("a pull by the API failed", {
        app: stream.app,
        stream: name,
        error: messageOf(thrown),
      });
      throw new RestError(502, `Could not pull the stream: [${name}]`);
    });
    if (outcome === "exists") throw new RestError(409, `The stream already exists: [${name}]`);
    return { statusCode: 201, message: "Created" };
  }

  #statistics(path: RestPath): RestAnswer {
    const { book, clock, hub } = this.#options;
    const nowMs = clock.wallMs();
    if (path.level === "root") return ok(figuresJson(book.figures("")!, nowMs));
    const empty = () => figuresJson({ ...book.figures("")!, ...noFigures }, nowMs);
    const of = (scope: string) => {
      const figures = book.figures(scope);
      return ok(figures ? figuresJson(figures, nowMs) : empty());
    };
    if (path.level === "vhost") return of(this.#vhost(path).name);
    if (path.level === "app") return of(`${this.#vhost(path).name}/${this.#application(path).application.name}`);
    if (path.level !== "stream") throw nothingHere;
    const { stream } = this.#stream(path);
    const entry = book.stream(stream.name);
    if (!entry) throw notThere("stream", stream.name.stream);
    const { pull } = hub.look(stream.name) ?? {};
    return ok({ ...figuresJson(entry.figures, nowMs), ...pullJson(pull) });
  }

  #vhost({ vhost }: Pick<RestPath, "vhost">): VhostConfig {
    const found = this.#options.configNow().vhosts.find(({ name }) => name === vhost);
    if (!found) throw notThere("virtual host", vhost ?? "");
    return found;
  }

  #application(path: RestPath) {
    const vhost = this.#vhost(path);
    const app = path.app ?? "";
    const choice = this.#apps(vhost).includes(app) ? findApplication(vhost, app) : undefined;
    if (choice?.kind !== "application") throw notThere("application", `${vhost.name}/${app}`);
    return choice;
  }

  #streamsOf(path: RestPath): ListedStream[] {
    const { application } = this.#application(path);
    const isHere = ({ vhost, app }: StreamName): boolean => vhost === path.vhost && app === application.name;
    return this.#options.hub.list().filter(({ stream }) => isHere(stream.name));
  }

  #stream(path: RestPath): ListedStream {
    const listed = this.#streamsOf(path).find(({ stream }) => stream.name.stream === path.stream);
    if (!listed) throw notThere("stream", `${path.vhost}/${path.app}/${path.stream}`);
    return listed;
  }
}

const nothingHere = new RestError(404, "Controller not found");

const noFigures = { bytesIn: 0, bytesOut: 0, lastBytesIn: 0, lastBytesOut: 0, connections: {}, totalConnections: 0 };

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const fail = (statusCode: number, message: string): void => {
      request.removeAllListeners("data").resume();
      reject(new RestError(statusCode, message));
    };
    request.setTimeout(bodyMs, () => fail(408, "The body took too long"));
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) fail(413, "The body is too large");
      else chunks.push(chunk);
    });
    request.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    request.once("error", () => fail(400, "The body broke off"));
  });
}
