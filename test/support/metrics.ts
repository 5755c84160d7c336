/** Reads `/metrics` of a node: name (with labels as written) → value. */
export async function readMetrics(operatorPort: number): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${operatorPort}/metrics`);
  const lines = (await response.text()).split("\n").filter((line) => line && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}
