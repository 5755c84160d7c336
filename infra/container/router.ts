// The router on one's own machine: the Worker in workerd, all addresses. Environment: HEARTH_ROUTER_PORT (8787),
// HEARTH_SECRET, HEARTH_OPERATOR_TOKEN, UPSTASH_REDIS_REST_URL, UPSTASH_REDIS_REST_TOKEN, HEARTH_ROUTER_SERVER_XML (path).
import { readFileSync } from "node:fs";
import { startRouter } from "../laptop/worker.ts";

const names = ["HEARTH_SECRET", "HEARTH_OPERATOR_TOKEN", "UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"];
const serverXml = process.env["HEARTH_ROUTER_SERVER_XML"];
const router = await startRouter({
  port: Number(process.env["HEARTH_ROUTER_PORT"] ?? 8787),
  host: "0.0.0.0",
  vars: Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
  ...(serverXml !== undefined && { serverXml: readFileSync(serverXml, "utf8") }),
});
console.log(`Hearth's router is ready: ${router.url}`);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => void router.close().then(() => process.exit(0)));
}
process.exitCode = (await router.exited) ?? 1;
