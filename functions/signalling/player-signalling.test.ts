// The object that holds a player's signalling, with the platform's sockets played by hand: also what the platform may do at any
// time, which is to forget the object and keep the player's socket.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import { until } from "../../test/support/until.ts";
import { verifyTicket } from "#cluster/ticket/ticket.ts";
import { routerFixture, startMs, type RouterFixture } from "../../test/support/router.ts";
import { openVhosts } from "../vhosts.ts";
import type { PlayerSocket } from "./player-end.ts";
import { PlayerSignallingObject } from "./player-signalling.ts";
import type { SignallingSocket } from "./signalling-relay.ts";

/** The player's socket as the platform holds it. */
class HeldSocket implements PlayerSocket {
  readonly sent: Record<string, unknown>[] = [];
  closed: number | undefined;
  attached = "null";
  maxAttachedLength = 2_048;

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }
  close(code = 1005): void {
    this.closed ??= code;
  }
  serializeAttachment(value: unknown): void {
    const text = JSON.stringify(value);
    if (text.length > this.maxAttachedLength) throw new Error("too long");
    this.attached = text;
  }
  deserializeAttachment(): unknown {
    return JSON.parse(this.attached);
  }
}

/** The object's end of a socket to a node: what it was sent, and what the node does. */
class NodeSocket implements SignallingSocket {
  readonly url: string;
  readonly traceparent: string | undefined;
  readonly got: string[] = [];
  closed: number | undefined;
  say: (message: object) => void = () => {};
  drop: (code: number) => void = () => {};

  constructor(url: string, headers: Readonly<Record<string, string>>) {
    this.url = url;
    this.traceparent = headers["traceparent"];
  }
  send(text: string): void {
    this.got.push(text);
  }
  close(code = 1005): void {
    this.closed ??= code;
  }
  addEventListener(type: "message" | "close", listener: (event: never) => void): void {
    const call = listener as (event: object) => void;
    if (type === "message") this.say = (message) => call({ data: JSON.stringify(message) });
    else this.drop = (code) => call({ code, reason: "" });
  }
}

const request = '{"command":"request_offer"}';
const offer = { command: "offer", id: 7, peer_id: 0 };

/** A player's upgrade, and objects that take it: the first, and those that the platform makes when it forgot it. */
function objects({ app }: RouterFixture) {
  const socket = new HeldSocket();
  const nodes: NodeSocket[] = [];
  const open = () =>
    new PlayerSignallingObject(
      {},
      {
        router: () => Promise.resolve(app),
        // Node has no answer of status 101.
        accept: () => ({ answer: new Response("accepted"), socket }),
        dial: (url, headers) => {
          nodes.push(new NodeSocket(url, headers));
          return Promise.resolve(nodes.at(-1));
        },
        context: { waitUntil() {}, passThroughOnException() {} },
      },
    );
  return { socket, nodes, open };
}

const upgrade = (query = "", headers: Record<string, string> = {}) =>
  new Request(`http://router.test/app/stream?managed=1${query}`, { headers: { Upgrade: "websocket", ...headers } });

const guarded = openVhosts(
  `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost>
  <Name>default</Name><Host><Names><Name>router.test</Name></Names></Host>
  <SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName><SignatureQueryKeyName>signature</SignatureQueryKeyName>
  <SecretKey>k3y</SecretKey><Enables><Publishers>webrtc,llhls</Publishers></Enables></SignedPolicy>
  </VirtualHost></VirtualHosts></Server>`,
  {},
);

/** What follows `url` when it is signed. */
function signedQuery(url: string, policy: object): string {
  const query = `&policy=${Buffer.from(JSON.stringify(policy)).toString("base64url")}`;
  return `${query}&signature=${createHmac("sha1", "k3y").update(`${url}${query}`).digest("base64url")}`;
}

const chosen = { "Hearth-Chosen": encodeURIComponent('{"url":"http://edge9.test/app/stream?rt=x","node":"edge9"}') };

describe("a player's object", () => {
  test("dials the node that the Worker chose, and relays", async () => {
    const { socket, nodes, open } = objects(await routerFixture());
    const object = open();
    const answer = await object.fetch(upgrade("", chosen));
    assert.equal(await answer.text(), "accepted");
    assert.equal(nodes[0]!.url, "http://edge9.test/app/stream?rt=x");
    await object.webSocketMessage(socket, request);
    nodes[0]!.say(offer);
    assert.deepEqual(nodes[0]!.got, [request]);
    assert.deepEqual(socket.sent.at(-1), offer);
    object.webSocketClose(socket, 1001, "");
    assert.equal(nodes[0]!.closed, 1000);
    assert.equal(socket.closed, 1001);
  });

  test("chooses the next node itself when that one is lost, under the same trace", async () => {
    const { socket, nodes, open } = objects(await routerFixture());
    const object = open();
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await object.fetch(upgrade("", { ...chosen, traceparent }));
    await object.webSocketMessage(socket, request);
    nodes[0]!.say(offer);
    nodes[0]!.drop(1006);
    await until("the player is told", 5_000, () => socket.sent.at(-1)!["command"] === "stop");
    assert.match(nodes[1]!.url, /^http:\/\/edge[12]\.test\/app\/stream\?managed=1&rt=/);
    assert.match(nodes[1]!.traceparent!, /^00-4bf92f3577b34da6a3ce929d0e0e4736-/);
    assert.deepEqual(socket.sent.at(-1), { command: "stop", id: 7, peer_id: 0 });
  });

  test("moves a viewer whose URL has run out meanwhile, for as long as its stream may be watched", async () => {
    const policy = { url_expire: startMs + 1_000, stream_expire: startMs + 600_000 };
    const signed = signedQuery("ws://router.test:80/app/stream?managed=1", policy);
    const fixture = await routerFixture({}, { vhosts: guarded });
    const { socket, nodes, open } = objects(fixture);
    const object = open();
    await object.fetch(upgrade(signed, chosen));
    await object.webSocketMessage(socket, request);
    nodes[0]!.say(offer);
    fixture.cluster.nowMs += 300_000;
    nodes[0]!.drop(1006);
    await until("the player is told", 5_000, () => socket.sent.at(-1)!["command"] === "stop");
    assert.equal(nodes.length, 2);
    const url = new URL(nodes[1]!.url);
    const scope = {
      node: url.hostname.replace(".test", ""),
      name: { vhost: "default", app: "app", stream: "stream" },
      protocol: "webrtc",
    } as const;
    const verdict = await verifyTicket(fixture.key, url.searchParams.get("rt"), scope, fixture.cluster.nowMs);
    assert.ok(verdict.admitted && verdict.sessionEndsMs === policy.stream_expire, "the next node is told when it ends");
    const begun = await fixture.ask(`/-/resolve/app/stream?protocol=webrtc&managed=1${signed}`);
    assert.equal(((await begun.json()) as { code: string }).code, "expired", "nobody begins with it any more");
  });

  test("that was put out of memory has the player stop and ask anew, at its first word", async () => {
    const { socket, nodes, open } = objects(await routerFixture());
    const object = open();
    await object.fetch(upgrade("&x=1", chosen));
    await object.webSocketMessage(socket, request);
    nodes[0]!.say(offer);
    const next = open();
    const [one, other] = [
      next.webSocketMessage(socket, '{"command":"candidate","id":7}'),
      next.webSocketMessage(socket, '{"command":"candidate","id":7}'),
    ];
    await Promise.all([one, other]);
    assert.equal(nodes.length, 2, "one socket to a node for both");
    assert.match(nodes[1]!.url, /^http:\/\/edge[12]\.test\/app\/stream\?managed=1&x=1&rt=/);
    assert.deepEqual(nodes[1]!.got, [], "what was meant for the lost node does not reach the next");
    assert.deepEqual(socket.sent.at(-1), { command: "stop", id: 7, peer_id: 0 });
    await next.webSocketMessage(socket, request);
    assert.deepEqual(nodes[1]!.got, [request]);
    nodes[1]!.say({ ...offer, id: 8 });
    assert.deepEqual(socket.sent.at(-1), { ...offer, id: 8 });
  });

  test("that was put out of memory answers a request at once", async () => {
    const { socket, nodes, open } = objects(await routerFixture());
    await open().fetch(upgrade("", chosen));
    await open().webSocketMessage(socket, request);
    assert.deepEqual(nodes[1]!.got, [request]);
    assert.ok(!socket.sent.some(({ command }) => command === "stop"));
  });

  test("that cannot be told again what its player asked for closes", async () => {
    const { socket, open } = objects(await routerFixture());
    socket.maxAttachedLength = 100;
    await open().fetch(upgrade(`&x=${"x".repeat(3_000)}`, chosen));
    await open().webSocketMessage(socket, request);
    assert.equal(socket.closed, 1013);
  });

  test("that finds no node any more closes, for the player to try later", async () => {
    const fixture = await routerFixture();
    const { socket, open } = objects(fixture);
    await open().fetch(upgrade("", chosen));
    fixture.cluster.nowMs += 2_000;
    fixture.cluster.nodes = fixture.cluster.nodes.map((node) => ({ ...node, state: "draining" }));
    await open().webSocketMessage(socket, request);
    assert.equal(socket.closed, 1013);
  });
});
