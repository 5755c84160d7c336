import assert from "node:assert/strict";
import { test } from "node:test";
import { ScriptedEdge } from "../../test/support/scripted-edge.ts";
import type { StreamRequest } from "../core/stream-hub.ts";
import type { LogFields, Logger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import {
  parseHearthDescription,
  parseHearthRequest,
  serializeHearthDescription,
  serializeHearthRequest,
  type HearthDescription,
  type HearthRequest,
} from "./hearth-extension.ts";
import { OvtPublisher } from "./ovt-publisher.ts";
import type { WireJson } from "./wire-json.ts";

const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const request: HearthRequest = { nodeId: "edge", via: ["edge"], recentMs: 6_000, token: "t", trace, wantsPulse: true };

const overTheWire = (value: unknown): WireJson => JSON.parse(JSON.stringify(value)) as WireJson;

test("what an edge asks for arrives as it was, with and without a trace id", () => {
  assert.deepEqual(parseHearthRequest(overTheWire(serializeHearthRequest(request))), request);
  const { trace: _without, ...plain } = request;
  assert.deepEqual(parseHearthRequest(overTheWire(serializeHearthRequest(plain))), plain);
});

test("a trace id that is none is left out, and the rest of the request holds", () => {
  const { trace: _without, ...plain } = request;
  const hostile = [7, null, [trace], { trace }, "", trace.slice(1), `${trace}0`, trace.toUpperCase(), "0".repeat(32)];
  for (const value of [...hostile, `${trace}\n{"level":"error"}`, "f".repeat(60_000)])
    assert.deepEqual(parseHearthRequest(overTheWire({ ...plain, trace: value })), plain);
});

test("an origin's description arrives as it was, and when its stream began only if that is a time", () => {
  const description: HearthDescription = {
    epochMs: 1_735_689_600_000,
    isEpochShared: true,
    originId: "camera",
    path: ["origin"],
    languages: { 1: "en" },
    discontinuities: 2,
  };
  const began = { ...description, beganMs: 59_682_568_040.5 };
  for (const each of [description, began])
    assert.deepEqual(parseHearthDescription(overTheWire(serializeHearthDescription(each))), each);
  for (const beganMs of ["1", null, [1], {}, true])
    assert.deepEqual(parseHearthDescription(overTheWire({ ...description, beganMs })), description);
});

test("a relay pulls under the id of the viewer's request, and its log names it", async () => {
  const asked: StreamRequest[] = [];
  const lines: (LogFields | undefined)[] = [];
  const log = (_event: string, fields?: LogFields): void => void lines.push(fields);
  const logger: Logger = { debug: log, info: log, warn: log, error: log, with: () => logger };
  const clock = new ManualClock();
  const relay = new OvtPublisher({
    hub: { acquire: async (_name, wanted) => (asked.push(wanted), { kind: "not-found", reason: "none here" }) },
    resolveVhost: () => "default",
    clock,
    logger,
    nodeId: "relay",
    serverId: "relay",
  });
  const edge = new ScriptedEdge(relay);
  await edge.ask("describe", { x_hearth: overTheWire(serializeHearthRequest(request)) });
  assert.deepEqual(
    asked.map(({ protocol, via, trace: under }) => ({ protocol, via, under })),
    [{ protocol: "ovt", via: ["edge"], under: trace }],
  );
  await edge.ask("describe", { x_hearth: overTheWire({ ...request, via: ["relay"] }) });
  assert.deepEqual(
    lines.map((fields) => fields?.["trace"]),
    [trace],
    "the pull in a circle is named",
  );
  edge.close();
  await relay.close();
});
