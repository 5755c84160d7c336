// The four OpenTofu modules, read by HashiCorp's own parser. No provider can be asked without its registry, so what a
// module means is checked here as far as the text tells.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadValidator } from "../validators/load-validator.ts";

type Block = Record<string, unknown>;
interface Module {
  readonly variable?: Record<string, readonly { description?: string; type?: string }[]>;
  readonly resource?: Record<string, Record<string, readonly Block[]>>;
  readonly locals?: readonly Block[];
  readonly terraform?: readonly { required_providers: readonly Block[] }[];
}

const { parse } = loadValidator("@cdktn/hcl2json") as {
  readonly parse: (file: string, text: string) => Promise<Module>;
};

async function readModule(provider: string): Promise<{ module: Module; text: string }> {
  const folder = join(import.meta.dirname, provider);
  const files = readdirSync(folder).filter((file) => file.endsWith(".tf"));
  const texts = files.map((file) => readFileSync(join(folder, file), "utf8"));
  const parts = await Promise.all(texts.map((text, index) => parse(files[index]!, text)));
  return { module: Object.assign({}, ...parts) as Module, text: texts.join("\n") };
}

/** What each provider is asked for so that an unready node leaves the answers. */
const healthChecked: Record<string, readonly [resource: string, setting: string, value: unknown][]> = {
  route53: [
    ["aws_route53_health_check", "resource_path", "${var.health.path}"],
    ["aws_route53_record", "multivalue_answer_routing_policy", true],
    ["aws_route53_record", "health_check_id", "${aws_route53_health_check.node[each.key].id}"],
    ["aws_route53_record", "ttl", "${var.ttl}"],
  ],
  google: [
    ["google_compute_health_check", "source_regions", "${var.source_regions}"],
    ["google_dns_record_set", "ttl", "${var.ttl}"],
  ],
  azure: [
    ["azurerm_traffic_manager_profile", "traffic_routing_method", "MultiValue"],
    ["azurerm_traffic_manager_external_endpoint", "target", "${each.value}"],
    ["azurerm_dns_cname_record", "record", "${azurerm_traffic_manager_profile.edges.fqdn}"],
  ],
  cloudflare: [
    ["cloudflare_load_balancer_monitor", "path", "${var.health.path}"],
    ["cloudflare_load_balancer_pool", "monitor", "${cloudflare_load_balancer_monitor.ready.id}"],
    ["cloudflare_load_balancer", "proxied", false],
    ["cloudflare_load_balancer", "ttl", "${var.ttl}"],
  ],
};

const shared = ["name", "nodes", "ttl", "health"];

for (const [provider, expected] of Object.entries(healthChecked)) {
  test(`${provider}: every variable is described, declared once and used, and every reference resolves`, async () => {
    const { module, text } = await readModule(provider);
    const variables = Object.keys(module.variable ?? {});
    for (const name of shared) assert.ok(variables.includes(name), `variable ${name}`);
    for (const [name, [first, ...more]] of Object.entries(module.variable ?? {})) {
      assert.ok(first?.description && first.type, `${name} has a description and a type`);
      assert.deepEqual(more, [], `${name} is declared once`);
    }
    const used = new Set([...text.matchAll(/\bvar\.(\w+)/g)].map(([, name]) => name!));
    assert.deepEqual([...used].toSorted(), variables.toSorted());
    const locals = new Set(Object.keys(Object.assign({}, ...(module.locals ?? [])) as Block));
    for (const [, name] of text.matchAll(/\blocal\.(\w+)/g)) assert.ok(locals.has(name!), `local.${name}`);
    const resources = Object.entries(module.resource ?? {}).flatMap(([type, named]) =>
      Object.keys(named).map((name) => `${type}.${name}`),
    );
    const [providerName] = Object.keys(module.terraform![0]!.required_providers[0]!);
    for (const [, type, name] of text.matchAll(/\b([a-z]+_[a-z0-9_]+)\.(\w+)[.[]/g)) {
      if (type!.startsWith(`${providerName}_`)) assert.ok(resources.includes(`${type}.${name}`), `${type}.${name}`);
    }
  });

  test(`${provider}: answers follow the nodes' health`, async () => {
    const { module } = await readModule(provider);
    for (const [type, setting, value] of expected) {
      const [[resource]] = Object.values(module.resource![type]!) as [[Block]];
      assert.deepEqual(resource[setting], value, `${type}: ${setting}`);
    }
  });
}

test("Google: each item of the round robin has one checked address, as signed zones need it", async () => {
  const { module } = await readModule("google");
  const { routing_policy: policies } = module.resource!["google_dns_record_set"]!["node"]![0]!;
  const [policy] = policies as [{ health_check: string; dynamic: { wrr: [{ content: [Block] }] } }];
  assert.equal(policy.health_check, "${google_compute_health_check.node.id}");
  assert.deepEqual(policy.dynamic.wrr[0].content[0], {
    weight: 1,
    health_checked_targets: [{ external_endpoints: ["${wrr.value}"] }],
  });
});

test("the variables that all modules share are the same everywhere", async () => {
  const modules = await Promise.all(Object.keys(healthChecked).map(readModule));
  const [first, ...others] = modules.map(({ module }) => shared.map((name) => module.variable![name]));
  for (const other of others) assert.deepEqual(other, first);
});

test("a mistake is found: the parser is really asked", async () => {
  await assert.rejects(parse("main.tf", 'resource "a" "b" {\n  x = \n}'));
});
