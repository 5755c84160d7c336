import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Makes a self-signed certificate for `host` (and 127.0.0.1) in `folder`. @returns its files and its text */
export function makeCertificate(folder: string, host: string): { certPath: string; keyPath: string } {
  const certPath = join(folder, `${host}.crt`);
  const keyPath = join(folder, `${host}.key`);
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const names = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host},IP:127.0.0.1`];
  const args = ["req", "-x509", ...curve, "-keyout", keyPath, "-out", certPath, "-days", "2", ...names];
  execFileSync("openssl", args, { stdio: "ignore" });
  return { certPath, keyPath };
}
