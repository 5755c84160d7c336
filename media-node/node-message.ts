/** What a node tells the process that started it, when it was started with an IPC channel. */
export type NodeMessage =
  | {
      readonly type: "ready";
      readonly id: string;
      readonly url: string | undefined;
      /** The same over TLS, where a TLSPort is bound. */
      readonly tlsUrl: string | undefined;
      readonly ovtPort: number | undefined;
      readonly operatorPort: number | undefined;
    }
  /** A stream that is to be held from the start is live, or could not be had this time. */
  | { readonly type: "prewarm"; readonly stream: string; readonly isLive: boolean; readonly reason: string };
