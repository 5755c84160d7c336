// Which node speaks: the router says so on a socket that was asked for with ?managed=1. OvenPlayer keeps its sockets to
// itself, so every socket of this page is made with an ear.

/** @param {(node: string) => void} listen is called with the id of each node that takes over */
export function onServingNode(listen) {
  window.WebSocket = class extends window.WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      this.addEventListener("message", ({ data }) => {
        const message = JSON.parse(data);
        if (message.command === "notification" && message.type === "node") listen(message.message.id);
      });
    }
  };
}
