/**
 * Which host names viewers may be sent to: patterns separated by commas, `*` standing for any part, compared in lower case.
 * Without a list any: the node's signature is then the guard.
 */
export function hostRule(list: string | undefined): (host: string) => boolean {
  const patterns = (list ?? "")
    .split(",")
    .map((pattern) => pattern.trim().toLowerCase())
    .filter((pattern) => pattern !== "");
  if (patterns.length === 0) return () => true;
  const matchers = patterns.map(
    (pattern) =>
      new RegExp(
        `^${pattern
          .split("*")
          .map((part) => part.replace(/[^\w-]/g, "\\$&"))
          .join(".*")}$`,
      ),
  );
  return (host) => matchers.some((matcher) => matcher.test(host.toLowerCase()));
}
