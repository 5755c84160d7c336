import assert from "node:assert/strict";
import { test } from "node:test";
import { buildUrls } from "./build-urls.ts";
import { chooseVhost, matchHost } from "./choose-vhost.ts";
import { forwardedQuery, maxForwardedQueryBytes } from "./forwarded-query.ts";
import { matchRule } from "./match-rule.ts";
import type { OriginRule } from "./origin-rule.ts";
import { nameProblem, splitPath } from "./split-path.ts";

const rule = (location: string, url: string, changes: Partial<OriginRule> = {}): OriginRule => ({
  location,
  scheme: "ovt",
  urls: [url],
  forwardQueryParams: true,
  isStrict: false,
  isPersistent: false,
  hasFailback: false,
  isRelay: true,
  ignoresSenderReports: false,
  ...changes,
});

test("compares whole segments in the mode of that name", () => {
  const vhost = { name: "v", origins: { rules: [rule("/app", "o:1/app")] } };
  const fits = (app: string, stream: string, mode: "prefix" | "segments"): boolean =>
    matchRule(vhost, app, stream, mode).kind === "rule";
  assert.deepEqual([fits("app", "s", "prefix"), fits("apple", "s", "prefix")], [true, true]);
  assert.deepEqual([fits("app", "s", "segments"), fits("apple", "s", "segments")], [true, false]);
  const exact = { name: "v", origins: { rules: [rule("/app/s", "o:1/x"), rule("/", "o:2/"), rule("", "o:3")] } };
  const index = (stream: string): number => {
    const match = matchRule(exact, "app", stream, "segments");
    return match.kind === "rule" ? match.index : -1;
  };
  assert.deepEqual([index("s"), index("s2")], [0, 1]);
});

test("chooses the first virtual host that matches, whatever the port and the case", () => {
  const config = {
    vhosts: [
      { name: "a", hostNames: ["a.example.com", "[2001:db8::1]"] },
      { name: "b", hostNames: ["*.Example.com"] },
      { name: "none", hostNames: [] },
    ],
  };
  const choose = (host: string): string | undefined => {
    const choice = chooseVhost(config, host);
    return choice.kind === "vhost" ? choice.vhost.name : undefined;
  };
  assert.equal(choose("a.example.com"), "a");
  assert.equal(choose("A.EXAMPLE.COM:3333"), "a");
  assert.equal(choose("b.example.com"), "b");
  assert.equal(choose("[2001:DB8::1]:8080"), "a");
  assert.equal(choose("[2001:db8::1]"), "a");
  for (const host of ["", ":80", "example.com", "[2001", "[", "a.example.com.evil.org"])
    assert.equal(choose(host), undefined);
});

test("host patterns take no more steps than pattern times host", () => {
  assert.equal(matchHost("*a".repeat(500), `${"a".repeat(5_000)}b`), false);
  assert.equal(matchHost("?".repeat(1_000), "a".repeat(1_000)), true);
});

test("keeps our own keys from origins, however they are spelt", () => {
  const table: readonly [string, string][] = [
    ["a=1&rt=x&b=2", "a=1&b=2"],
    ["session=1_k&policy=p&signature=s&RT=1&Policy=2", ""],
    ["_HLS_msn=3&_HLS_part=1&_hls_skip=YES&c=3", "c=3"],
    ["%72t=x&%5FHLS_msn=1&%2572t=y&d", "d"],
    ["jwt=secret&e=5", "e=5"],
    ["&&a&&b=&", "a&b="],
    ["a=1?b=2#c", "a=1%3Fb=2%23c"],
    ["a=%zz&b=%4", "a=%25zz&b=%254"],
    ["a=ü\u0000\r\n \ud800", "a=%C3%BC%00%0D%0A%20%EF%BF%BD"],
    ["u=b@evil.example:9000/x/y", "u=b%40evil.example%3A9000%2Fx%2Fy"],
  ];
  for (const [given, forwarded] of table) assert.equal(forwardedQuery(given, ["JWT"]), forwarded, given);
});

test("forwards no more than its limit, cut between parameters", () => {
  const query = forwardedQuery(Array.from({ length: 10_000 }, (_, i) => `key${i}=${"ü".repeat(20)}`).join("&"), []);
  assert.ok(query.length <= maxForwardedQueryBytes);
  assert.match(query, /^(?:key\d+=(?:%C3%BC){20}&?)+$/);
  assert.equal(forwardedQuery(`a=${"x".repeat(1_000_000)}`, []), "");
});

test("matches as a plain search through the rules would", () => {
  let seed = 11;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const word = (length: number): string => Array.from({ length }, () => "ab/"[random(3)]).join("");
  for (let round = 0; round < 3_000; round++) {
    const rules = Array.from({ length: random(6) }, () =>
      rule(random(5) ? `/${word(random(5))}` : word(random(3)), "o:1", { isStrict: random(4) === 0 }),
    );
    const [app, stream, mode] = [word(random(3)), word(random(3)), random(2) ? "prefix" : "segments"] as const;
    const requested = `/${app}/${stream}`;
    const wanted = rules.findIndex(({ location, isStrict }) => {
      if (isStrict) return requested === location;
      if (!requested.startsWith(location)) return false;
      const rest = requested.slice(location.length);
      return mode === "prefix" || location === "" || location.endsWith("/") || rest === "" || rest.startsWith("/");
    });
    const match = matchRule({ name: "v", origins: { rules } }, app, stream, mode);
    assert.equal(match.kind === "rule" ? match.index : -1, wanted);
  }
});

test("matches hosts as a regular expression would", () => {
  let seed = 13;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const word = (letters: string, length: number): string =>
    Array.from({ length }, () => letters[random(letters.length)]).join("");
  for (let round = 0; round < 5_000; round++) {
    const pattern = word(round % 2 ? "ab.*" : "ab.*?", random(7));
    const host = word("ab.", random(7));
    const expression = pattern.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".?");
    assert.equal(matchHost(pattern, host), new RegExp(`^${expression}$`).test(host), `${pattern} on ${host}`);
  }
});

/** Whatever a viewer may put into a request to be taken for something else. */
const hostile = [
  "@evil.example",
  "u@evil.example:9000",
  "u:p@evil.example",
  "//evil.example",
  "://evil.example",
  ":9001",
  ".evil.example",
  "%40evil.example",
  "%2f%2fevil.example",
  "\\evil.example",
  "#@evil.example",
  "?@evil.example",
  "\u0000",
  "\r\nHost: evil.example",
  " evil.example",
  "\t",
  "..",
  ".",
  "%2e%2e",
  "%2E.",
  "0",
  "0/x",
  "[::1]",
  "127.0.0.1.nip.io",
  "0x7f000001",
  "2130706433",
  "::ffff:127.0.0.1",
  "evil.example:80/",
  "ovt://evil.example",
  "%00",
  "%0d%0a",
  "\u2028",
  "\u202e",
  "ｅvil",
  "a;b",
  "a|b",
  "~",
  "*",
];

test("nothing of a request reaches scheme, host or port, and its query reaches only the query", () => {
  const urls = [
    "origin.example:9000",
    "origin.example:9000/",
    "origin.example:9000/live",
    "origin.example:9000/live/?a=1",
    "origin.example",
    "[2001:db8::5]:9000/x/",
    "user:pass@origin.example:900",
  ];
  let pulled = 0;
  for (const url of urls) {
    for (const location of ["", "/", "/app", "/app/", "/app/s"]) {
      const wanted = new URL(`http://${url.split("/")[0]!}`);
      for (const word of hostile) {
        for (const [app, stream, query] of [
          ["app", word, ""],
          [word, "s", ""],
          ["app", `s${word}`, ""],
          ["app", "s", `x=${word}`],
          ["app", "s", word],
          ["app", "s", `x=1&${word}=2`],
        ] as const) {
          if (!`/${app}/${stream}`.startsWith(location)) continue;
          for (const built of buildUrls(rule(location, url), app, stream, query)) {
            if (built.refused !== undefined) continue;
            pulled++;
            const { hostname, port, username, password, protocol } = new URL(built.url.replace(/^ovt/, "http"));
            assert.deepEqual(
              [protocol, hostname, port, username, password],
              ["http:", wanted.hostname, wanted.port, wanted.username, wanted.password],
              built.url,
            );
            const withoutQuery = buildUrls(rule(location, url), app, stream, "")[0]!.url.split("?", 1)[0]!;
            assert.equal(built.url.split("?", 1)[0], withoutQuery);
            // Even one greedy expression over the whole finds a single authority.
            assert.doesNotMatch(built.url.slice("ovt://".length + built.authority.length), /@|:\/\//);
          }
        }
      }
    }
  }
  assert.ok(pulled > 1_000, `${pulled} URLs were looked at`);
});

test("a file is never left by what a request adds, and takes no query", () => {
  const file = rule("/app/", "/media/my clips/", { scheme: "file" });
  const build = (stream: string) => buildUrls(file, "app", stream, "a=1")[0]!;
  assert.equal(build("a.mp4").url, "file:///media/my%20clips/a.mp4");
  assert.equal(decodeURIComponent(new URL(build("%2e%2e%2fx").url).pathname), "/media/my clips/%2e%2e%2fx");
  for (const dots of ["..", ".", "%2e%2E"]) assert.match(build(dots).refused!, /dots/);
  assert.match(buildUrls(rule("/", "clip.mp4", { scheme: "file" }), "a", "s", "")[0]!.refused!, /absolute/);
});

test("dots may not leave the path of an RTSP rule, and are mere names to OVT", () => {
  const refused = (scheme: string): boolean =>
    buildUrls(rule("/app/", "cam/live/", { scheme }), "app", "..", "")[0]!.refused !== undefined;
  assert.deepEqual([refused("rtsp"), refused("RTSP"), refused("ovt")], [true, true, false]);
});

test("takes paths apart without decoding, and names what must not go on", () => {
  assert.deepEqual(splitPath("/app/a%2Fb/../x"), { app: "app", stream: "a%2Fb", file: ".." });
  assert.deepEqual(splitPath(""), { app: "", stream: "", file: "" });
  for (const name of ["", "a@b", "a b", "a\u0000", "a\\b", "a?b", "a#b", "a/b", "x".repeat(256)]) {
    assert.notEqual(nameProblem("app", name), undefined, name);
  }
  for (const name of ["a", "a%20b", "..", "ström", "a:b", "x".repeat(255)])
    assert.equal(nameProblem("app", name), undefined);
});

test("how an RTSP source is reached is the rule's word: a viewer's transport is not passed on", () => {
  const urlOf = (scheme: string, query: string): string =>
    buildUrls(rule("/app/", "cam:554/live/?transport=udp", { scheme }), "app", "s", query)[0]!.url;
  for (const query of ["transport=tcp", "TRANSPORT=tcp", "%74ransport=tcp", "a=1&transport=tcp&b=2"]) {
    for (const scheme of ["rtsp", "RTSP", "rtsps"]) {
      const url = urlOf(scheme, query);
      assert.equal(url.match(/transport/gi)?.length, 1, url);
      assert.match(url, /\/s\?transport=udp/);
    }
  }
  assert.match(urlOf("ovt", "transport=tcp"), /transport=tcp/);
});
