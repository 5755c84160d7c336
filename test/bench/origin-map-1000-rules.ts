// What does a decision cost when a cluster has many rules? CPU time per request to choose the virtual host, match 1,000 rules
// and build the URLs, in the worst case (the last rule fits) beside a single rule. Wanted: at most 20 µs a request.
import assert from "node:assert/strict";
import { buildUrls } from "../../media-node/cluster/origin-map/build-urls.ts";
import { chooseVhost } from "../../media-node/cluster/origin-map/choose-vhost.ts";
import { matchRule } from "../../media-node/cluster/origin-map/match-rule.ts";
import type { OriginRule } from "../../media-node/cluster/origin-map/origin-rule.ts";

const requests = 20_000;
const rounds = 7;
const wantedUs = 20;

const ruleFor = (number: number): OriginRule => ({
  location: `/app/stream-${String(number).padStart(4, "0")}`,
  scheme: "ovt",
  urls: [`origin-${number}.example.com:9000/app/stream-${number}`, `backup.example.com:9000/app/stream-${number}`],
  forwardQueryParams: true,
  isStrict: false,
  isPersistent: false,
  hasFailback: false,
  isRelay: true,
  ignoresSenderReports: false,
});

const configOf = (rules: number) => ({
  vhosts: [
    { name: "other", hostNames: ["*.other.example.com"], origins: { rules: [] } },
    {
      name: "main",
      hostNames: ["*.example.com"],
      origins: { rules: Array.from({ length: rules }, (_, i) => ruleFor(i)) },
    },
  ],
});

function decide(config: ReturnType<typeof configOf>, stream: string): string {
  const choice = chooseVhost(config, "edge-7.example.com:8443");
  assert.equal(choice.kind, "vhost");
  const match = matchRule(choice.vhost, "app", stream);
  assert.equal(match.kind, "rule");
  return buildUrls(match.rule, "app", stream, "token=abcdef&session=1")[0]!.url;
}

function microsecondsPerRequest(rules: number): number {
  const config = configOf(rules);
  const stream = ruleFor(rules - 1).location.slice("/app/".length);
  assert.equal(
    decide(config, stream),
    `ovt://origin-${rules - 1}.example.com:9000/app/stream-${rules - 1}?token=abcdef`,
  );
  const before = process.threadCpuUsage();
  for (let i = 0; i < requests; i++) decide(config, stream);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / requests;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const one: number[] = [];
const thousand: number[] = [];
for (let round = 0; round < rounds; round++) {
  one.push(microsecondsPerRequest(1));
  thousand.push(microsecondsPerRequest(1_000));
}
const [oneUs, thousandUs] = [median(one.slice(1)), median(thousand.slice(1))];
const figures = { oneUs: oneUs.toFixed(2), thousandUs: thousandUs.toFixed(2), wantedUs };
console.log(`origin-map-1000-rules: ${(thousandUs / oneUs).toFixed(1)} × the time of one rule`, figures);
process.exitCode = thousandUs <= wantedUs ? 0 : 1;
