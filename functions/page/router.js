// The page's questions to the router. All answers are JSON; a refusal is thrown as its sentence.

/** @returns {Promise<any>} */
async function ask(path, init) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5_000), ...init });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error ?? `the router answered ${response.status}`);
  return body;
}

/** The decision for one protocol with its reasons. */
export const explain = (stream, protocol) => ask(`/-/explain/${stream}?protocol=${protocol}`);
/** Every node as it reports itself. */
export const cluster = () => ask("/-/cluster");
/** Stops or starts one node of the laptop's cluster. */
export const command = (verb, node) => ask(`/-/laptop/${verb}/${encodeURIComponent(node)}`, { method: "POST" });
