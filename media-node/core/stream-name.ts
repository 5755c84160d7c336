/** What a viewer asks for, after its host was resolved to a virtual host. */
export interface StreamName {
  readonly vhost: string;
  readonly app: string;
  readonly stream: string;
}

let last = { vhost: "", app: "", stream: "", key: "//" };

/** One string a name, for maps and logs. Path segments hold no `/`, so it is unambiguous. */
export function streamKey({ vhost, app, stream }: StreamName): string {
  // Viewers of one stream ask together, and a map hashes each string that is made anew.
  if (stream !== last.stream || app !== last.app || vhost !== last.vhost) {
    last = { vhost, app, stream, key: `${vhost}/${app}/${stream}` };
  }
  return last.key;
}
