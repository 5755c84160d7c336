import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeRecord } from "../../media-node/cluster/store/contract.ts";
import { addressesOf, jsonOf, recordSet, zoneFileOf } from "./record-sets.ts";

const node = (id: string, url: string, changes: Partial<NodeRecord> = {}): NodeRecord => ({
  id,
  url,
  state: "serving",
  protocols: ["webrtc", "whep", "llhls"],
  region: "",
  viewers: 0,
  maxViewers: 0,
  egressBps: 0,
  cpu: 0,
  streams: {},
  origins: [],
  startedMs: 0,
  ...changes,
});

const noNames = (): Promise<never> => Promise.reject(new Error("not asked"));

test("only nodes that serve viewers are named", async () => {
  const { addresses } = await addressesOf(
    [
      node("serving", "http://192.0.2.1"),
      node("starting", "http://192.0.2.2", { state: "starting" }),
      node("draining", "http://192.0.2.3", { state: "draining" }),
      node("origin", "http://192.0.2.4", { protocols: [] }),
    ],
    noNames,
  );
  assert.deepEqual(addresses, ["192.0.2.1"]);
});

test("host names become all their addresses, IPv6 loses its brackets, two nodes at one address count once", async () => {
  const { addresses, unresolved } = await addressesOf(
    [
      node("named", "https://edge-1.example.com"),
      node("six", "https://[2001:db8::6]:8443"),
      node("same", "http://192.0.2.1:81"),
    ],
    (host) => Promise.resolve(host === "edge-1.example.com" ? ["192.0.2.1", "2001:db8::1"] : []),
  );
  assert.deepEqual(addresses, ["192.0.2.1", "2001:db8::1", "2001:db8::6"]);
  assert.deepEqual(unresolved, []);
});

test("a node whose name cannot be resolved is named to the operator and left out", async () => {
  const { addresses, unresolved } = await addressesOf(
    [node("lost", "https://lost.example.com"), node("odd", "https://odd.example.com")],
    (host) => (host.startsWith("lost") ? noNames() : Promise.resolve(["nonsense"])),
  );
  assert.deepEqual(addresses, []);
  assert.deepEqual(unresolved, [
    { id: "lost", host: "lost.example.com" },
    { id: "odd", host: "odd.example.com" },
  ]);
});

test("a zone file has one line for each address", () => {
  const set = recordSet("Edge.Example.com.", { ttl: 30, addresses: ["192.0.2.1", "2001:db8::1", "192.0.2.2"] });
  assert.equal(
    zoneFileOf(set),
    "edge.example.com. 30 IN A 192.0.2.1\nedge.example.com. 30 IN A 192.0.2.2\nedge.example.com. 30 IN AAAA 2001:db8::1\n",
  );
});

test("JSON has the shape of an octoDNS zone", () => {
  const set = recordSet("edge.live.example.com", { zone: "example.com", ttl: 60, addresses: ["192.0.2.1"] });
  assert.deepEqual(JSON.parse(jsonOf(set)), { "edge.live": [{ type: "A", ttl: 60, values: ["192.0.2.1"] }] });
  const apex = recordSet("example.com", { zone: "example.com", ttl: 60, addresses: ["2001:db8::1"] });
  assert.deepEqual(JSON.parse(jsonOf(apex)), { "": [{ type: "AAAA", ttl: 60, values: ["2001:db8::1"] }] });
});

for (const [name, zone] of [
  ["edge.example.com", "example.org"],
  ["badexample.com", "example.com"],
  ["edge", undefined],
  ["a b.example.com", undefined],
  ["x\n.example.com", undefined],
] as const) {
  test(`${JSON.stringify(name)} in zone ${zone} is refused`, () => {
    assert.throws(() => recordSet(name, { zone, ttl: 30, addresses: [] }), RangeError);
  });
}
