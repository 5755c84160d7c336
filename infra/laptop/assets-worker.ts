// Runs in workerd beside the router: what Cloudflare's static assets do, in the small. The disk service that it reads
// from gives bytes without a type, and a listing for a directory.

interface AssetsEnv {
  readonly DISK: { fetch(url: string): Promise<Response> };
}

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  mjs: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  json: "application/json",
  svg: "image/svg+xml",
  png: "image/png",
  ico: "image/x-icon",
  woff2: "font/woff2",
  wasm: "application/wasm",
  map: "application/json",
};

export default {
  async fetch(request: Request, env: AssetsEnv): Promise<Response> {
    const { pathname } = new URL(request.url);
    const file = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
    const type = types[/\.(\w+)$/.exec(file)?.[1] ?? ""];
    const found = type ? await env.DISK.fetch(`http://disk${file}`) : undefined;
    if (!type || !found?.ok) return new Response("Not found\n", { status: 404 });
    return new Response(found.body, { headers: { "Content-Type": type, "Cache-Control": "no-cache" } });
  },
};
