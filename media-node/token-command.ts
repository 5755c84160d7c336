import { parseArgs } from "node:util";
import { importSigningKey } from "./cluster/ticket/signing-key.ts";
import { SettingError, UsageError } from "./flow/errors.ts";
import { signLinkToken } from "./ovt/link-token.ts";

const usage = "hearth token app/stream | 'app/*' | '*' [--days 30]";
const maxDays = 3_650;
const dayMs = 86_400_000;

/**
 * `hearth token SCOPE [--days 30]`: a token for an OvenMediaEngine edge whose address cannot be trusted, to stand as
 * `?key=…` at the end of its `<Url>`. Hearth edges make their own.
 * @returns what to print: the token alone on `output`, what to do with it on `advice`
 * @throws {SettingError} when the arguments make no sense or there is no secret @throws {RangeError} when it is too short
 */
export async function runToken(
  args: string[],
  { secret, nowMs }: { readonly secret: string | undefined; readonly nowMs: number },
): Promise<{ readonly output: string; readonly advice: string }> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { days: { type: "string", default: "30" } },
  });
  const [scope = ""] = positionals;
  if (positionals.length !== 1 || !/^(?:\*|[^/*\s]+\/(?:\*|[^/*\s]+))$/.test(scope)) {
    throw new UsageError(`A token for which streams? ${usage}`);
  }
  const days = Number(values.days);
  if (!(days > 0 && days <= maxDays)) {
    throw new SettingError(`--days is "${values.days}": give a number of days up to ${maxDays}.`);
  }
  if (!secret) throw new SettingError("Set HEARTH_SECRET to the origin's: it signs the token.");
  await importSigningKey(secret);
  const expiresMs = nowMs + days * dayMs;
  const until = new Date(expiresMs).toISOString().slice(0, 16).replace("T", " ");
  return {
    output: `${signLinkToken(secret, { scope, expiresMs })}\n`,
    advice:
      `Opens ${scope} until ${until} UTC. On the OvenMediaEngine edge write it behind the Url of the rule: ` +
      "<Url>origin:9000/app/?key=TOKEN</Url>. Whoever reads it can pull until then.\n",
  };
}
