/** What a viewer asks for, after its host was resolved to a virtual host. */
export interface StreamName {
  readonly vhost: string;
  readonly app: string;
  readonly stream: string;
}

/** One string a name, for maps and logs. Path segments hold no `/`, so it is unambiguous. */
export function streamKey(name: StreamName): string {
  return `${name.vhost}/${name.app}/${name.stream}`;
}
