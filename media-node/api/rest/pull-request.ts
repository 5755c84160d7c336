import type { PullPlan } from "../../core/pull-plan.ts";
import { bad, objectOf, parseJson } from "./envelope.ts";

/** The body of `POST …/streams`, read. */
export interface PullRequest {
  readonly name: string;
  readonly urls: readonly string[];
  readonly properties: Partial<
    Pick<PullPlan, "isPersistent" | "noInputTimeoutMs" | "unusedTimeoutMs" | "retryCount">
  > & {
    readonly ignoresSourceClock?: boolean;
  };
}

const maxUrls = 32;
const maxUrlLength = 2_048;
/** Any but those that would show whoever calls what lies on this machine. */
const schemes = /^(ovts?|rtsps?):\/\/[^/\s]/i;

/**
 * Reads `{"name":…,"urls":[…],"properties":{…}}`.
 * @throws {RestError} 400 that says what is wrong with it
 */
export function parsePullRequest(text: string): PullRequest {
  const body = objectOf(parseJson(text));
  const name = body?.["name"];
  const urls = body?.["urls"];
  if (typeof name !== "string" || !/^[^/\s?#%]{1,256}$/.test(name)) throw bad('"name" must be a stream\'s name');
  if (!Array.isArray(urls) || urls.length === 0 || urls.length > maxUrls)
    throw bad(`"urls" must be a list of 1 to ${maxUrls}`);
  const checked = urls.map((url: unknown) => {
    if (typeof url !== "string" || url.length > maxUrlLength) throw bad("every URL must be a text");
    return url;
  });
  return { name, urls: checked, properties: propertiesOf(body?.["properties"]) };
}

/** Whether a URL's scheme can be pulled by the API. */
export function isPullable(url: string): boolean {
  return schemes.test(url);
}

function propertiesOf(value: unknown): PullRequest["properties"] {
  if (value === undefined) return {};
  const properties = objectOf(value);
  if (!properties) throw bad('"properties" must be an object');
  const flag = (key: string): boolean | undefined => {
    const given = properties[key];
    if (given !== undefined && typeof given !== "boolean") throw bad(`"${key}" must be true or false`);
    return given;
  };
  const count = (key: string, most: number): number | undefined => {
    const given = properties[key];
    if (given === undefined) return undefined;
    if (typeof given !== "number" || !Number.isInteger(given) || given < 0 || given > most)
      throw bad(`"${key}" must be a whole number from 0 to ${most}`);
    return given;
  };
  const persistent = flag("persistent");
  const noInput = count("noInputFailoverTimeoutMs", 3_600_000);
  const unused = count("unusedStreamDeletionTimeoutMs", 86_400_000);
  const ignores = flag("ignoreRtcpSRTimestamp");
  return {
    // As in OvenMediaEngine: properties without a count mean one round more.
    retryCount: count("retryCount", 100) ?? 1,
    ...(persistent !== undefined && { isPersistent: persistent }),
    ...(noInput !== undefined && { noInputTimeoutMs: noInput }),
    ...(unused !== undefined && { unusedTimeoutMs: unused }),
    ...(ignores !== undefined && { ignoresSourceClock: ignores }),
  };
}
