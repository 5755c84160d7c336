import { MultiErrorReply, RESP_TYPES } from "redis";
import type { RedisClient } from "../redis-client.ts";
import { isErrorReply, type RedisLink } from "../redis-link.ts";
import type { BridgeOutcome } from "./bridge-json.ts";
import { judgeCommand, type BridgeCommand, type BridgeVerdict } from "./bridge-policy.ts";

/** Runs commands one by one, in order, other clients' between them. @throws {StoreUnavailable} */
export function runCommands(
  link: RedisLink<RedisClient>,
  commands: readonly BridgeCommand[],
  readOnly: boolean,
): Promise<readonly BridgeOutcome[]> {
  const verdicts = commands.map((command) => judgeCommand(command, readOnly));
  const refused = verdicts.filter((verdict) => "error" in verdict);
  if (refused.length === verdicts.length) return Promise.resolve(refused);
  return link.run((client) => Promise.all(verdicts.map((verdict) => runOne(client, verdict))));
}

/** Runs commands as one transaction; one that is refused refuses all. @throws {StoreUnavailable} */
export async function runTransaction(
  link: RedisLink<RedisClient>,
  commands: readonly BridgeCommand[],
  readOnly: boolean,
): Promise<readonly BridgeOutcome[] | { readonly error: string }> {
  const verdicts = commands.map((command) => judgeCommand(command, readOnly));
  const refused = verdicts.find((verdict) => "error" in verdict);
  if (refused) return refused;
  try {
    return await link.run(async (client) => {
      const multi = withBuffers(client).multi();
      for (const verdict of verdicts) if ("command" in verdict) multi.addCommand([...verdict.command]);
      return repliesOf(multi.exec());
    });
  } catch (thrown) {
    if (isErrorReply(thrown)) return { error: thrown.message };
    throw thrown;
  }
}

async function repliesOf(execution: Promise<unknown>): Promise<readonly BridgeOutcome[]> {
  try {
    const replies = await execution;
    return Array.isArray(replies) ? replies.map((reply: unknown) => ({ reply })) : [];
  } catch (thrown) {
    if (!(thrown instanceof MultiErrorReply)) throw thrown;
    return thrown.replies.map((reply: unknown) => (isErrorReply(reply) ? { error: reply.message } : { reply }));
  }
}

async function runOne(client: RedisClient, verdict: BridgeVerdict): Promise<BridgeOutcome> {
  if ("error" in verdict) return verdict;
  try {
    return { reply: await withBuffers(client).sendCommand([...verdict.command]) };
  } catch (thrown) {
    if (isErrorReply(thrown)) return { error: thrown.message };
    throw thrown;
  }
}

/** Bulk strings as bytes, which need not be text. */
function withBuffers(client: RedisClient) {
  return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
}
