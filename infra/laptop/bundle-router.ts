import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** ES modules as text, ready for workerd. */
export interface RouterBundle {
  readonly script: string;
  readonly assets: string;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Bundles `functions/index.ts` as wrangler would, and the small server of the page's files. Its esbuild process ends with it. */
export async function bundleRouter(): Promise<RouterBundle> {
  // Loaded when needed: the launcher has no other use for it.
  const esbuild = await import("esbuild");
  const bundle = async (entry: string): Promise<string> => {
    const { outputFiles } = await esbuild.build({
      absWorkingDir: root,
      entryPoints: [entry],
      bundle: true,
      format: "esm",
      target: "es2024",
      conditions: ["workerd", "worker", "browser"],
      loader: { ".xml": "text" },
      minifySyntax: true,
      write: false,
      logLevel: "silent",
    });
    return outputFiles[0]!.text;
  };
  try {
    const [script, assets] = await Promise.all([bundle("functions/index.ts"), bundle("infra/laptop/assets-worker.ts")]);
    return { script, assets };
  } finally {
    await esbuild.stop();
  }
}

/** Absolute path of the workerd program that miniflare and wrangler run, too. */
export function workerdPath(): string {
  const require = createRequire(import.meta.url);
  const loaded: unknown = createRequire(require.resolve("miniflare"))("workerd");
  if (typeof loaded === "object" && loaded !== null && "default" in loaded && typeof loaded.default === "string")
    return loaded.default;
  throw new Error("the workerd package does not name its program: install the dependencies again");
}
