// The recorded behaviour of the OriginMap (test/fixtures/config/README.md), vector by vector.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { buildUrls } from "#cluster/origin-map/build-urls.ts";
import { chooseVhost, matchHost } from "#cluster/origin-map/choose-vhost.ts";
import { matchRule } from "#cluster/origin-map/match-rule.ts";
import type { OriginRule } from "#cluster/origin-map/origin-rule.ts";
import { splitPath } from "#cluster/origin-map/split-path.ts";

interface RuleVector {
  readonly location: string;
  readonly scheme: string;
  readonly urls: readonly string[];
  readonly forwardQueryParams?: boolean;
  readonly strictLocation?: boolean;
  readonly relay?: boolean;
}

interface Vectors {
  readonly originMap: readonly {
    readonly name: string;
    readonly confined?: true;
    readonly rules: readonly RuleVector[];
    readonly requests: readonly {
      readonly app: string;
      readonly stream: string;
      readonly query: string;
      readonly rule: number;
      readonly urls?: readonly string[];
    }[];
  }[];
  readonly hostMatch: readonly { readonly pattern: string; readonly host: string; readonly match: boolean }[];
  readonly paths: readonly { path: string; app: string; stream: string; file: string }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL("../fixtures/config/vectors.json", import.meta.url), "utf8"));

const toRule = (vector: RuleVector): OriginRule => ({
  location: vector.location,
  scheme: vector.scheme,
  urls: vector.urls,
  forwardQueryParams: vector.forwardQueryParams ?? true,
  isStrict: vector.strictLocation ?? false,
  isPersistent: false,
  hasFailback: false,
  isRelay: vector.relay ?? true,
  ignoresSenderReports: false,
});

for (const { name, confined, rules, requests } of vectors.originMap) {
  test(`OriginMap: ${name}`, () => {
    assert.notEqual(requests.length, 0);
    const vhost = { name: "default", origins: { rules: rules.map(toRule) } };
    for (const { app, stream, query, rule, urls } of requests) {
      const match = matchRule(vhost, app, stream);
      assert.equal(match.kind === "rule" ? match.index : -1, rule, match.reason);
      if (match.kind === "none") continue;
      const built = buildUrls(match.rule, app, stream, query);
      if (!confined) {
        assert.deepEqual(
          built.map(({ url }) => url),
          urls,
        );
        continue;
      }
      for (const { url, refused } of built) {
        assert.equal(refused, undefined);
        const seen = new URL(url.replace(/^ovt/, "http"));
        assert.equal(seen.host, "origin.com:9000");
        assert.equal(seen.pathname, "/app/zzz");
        assert.equal(seen.username + seen.password, "");
        assert.doesNotMatch(url.slice("ovt://".length), /@|:\/\//);
      }
    }
  });
}

test("host patterns match as recorded", () => {
  assert.notEqual(vectors.hostMatch.length, 0);
  for (const { pattern, host, match } of vectors.hostMatch) {
    assert.equal(matchHost(pattern, host), match, `${pattern} on ${host}`);
  }
});

test("host names differ from the recording in one thing: case does not count when a virtual host is chosen", () => {
  const choice = chooseVhost({ vhosts: [{ name: "a", hostNames: ["Edge.com"] }] }, "edge.COM:3333");
  assert.equal(choice.kind, "vhost");
});

test("paths are taken apart as recorded", () => {
  assert.notEqual(vectors.paths.length, 0);
  for (const { path, ...parts } of vectors.paths) assert.deepEqual(splitPath(path), parts, path);
});
