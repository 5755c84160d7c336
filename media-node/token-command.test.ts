import assert from "node:assert/strict";
import { test } from "node:test";
import { SettingError } from "./flow/errors.ts";
import { isLinkTokenValid } from "./ovt/link-token.ts";
import { runToken } from "./token-command.ts";

const secret = "sixteen characters and more";
const nowMs = Date.UTC(2026, 0, 1);
const dayMs = 86_400_000;

test("hearth token prints a token for what was asked, until the day it was asked for", async () => {
  const { output, advice } = await runToken(["app/*", "--days", "2"], { secret, nowMs });
  const holds = (app: string, atMs: number): boolean =>
    isLinkTokenValid(output.trim(), { secrets: [secret], app, stream: "cam", wallMs: atMs });
  assert.equal(holds("app", nowMs + 2 * dayMs - 1_000), true);
  assert.equal(holds("app", nowMs + 2 * dayMs), false);
  assert.equal(holds("other", nowMs), false);
  assert.match(advice, /app\/\* until 2026-01-03 00:00 UTC/);
});

test("hearth token says what it needs", async () => {
  const scopes = [[], ["app"], ["app/"], ["a/b/c"], ["*/cam"], ["app/cam", "app/dog"]];
  for (const args of scopes) await assert.rejects(runToken(args, { secret, nowMs }), SettingError);
  await assert.rejects(runToken(["*", "--days", "0"], { secret, nowMs }), SettingError);
  await assert.rejects(runToken(["*", "--days", "x"], { secret, nowMs }), SettingError);
  await assert.rejects(runToken(["*"], { secret: undefined, nowMs }), SettingError);
  await assert.rejects(runToken(["*"], { secret: "short", nowMs }), RangeError);
});
