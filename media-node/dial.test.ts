import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { createServer as createTcpServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { dialTcp, dialTls } from "./dial.ts";

const { signal } = new AbortController();
const authorities = getCACertificates("default");
const echo = { key: "", cert: "" };

before(() => {
  const directory = mkdtempSync(join(tmpdir(), "hearth-dial-"));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  execFileSync("openssl", ["req", ...kind, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" });
  echo.key = readFileSync(key, "utf8");
  echo.cert = readFileSync(cert, "utf8");
  rmSync(directory, { recursive: true });
});
after(() => setDefaultCACertificates(authorities));

async function listening(server: Server): Promise<{ port: number } & AsyncDisposable> {
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const close = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close };
}

const echoServer = (): Server => createTlsServer(echo, (socket) => socket.on("error", () => {}).pipe(socket));

test("TLS is spoken with who has a certificate for its name from an authority we trust", async () => {
  await using server = await listening(echoServer());
  setDefaultCACertificates([echo.cert]);
  const socket = await dialTls("localhost", server.port, signal);
  assert.equal(socket.authorized, true);
  socket.end("hello");
  const heard: Buffer[] = [];
  for await (const chunk of socket) heard.push(chunk as Buffer);
  assert.equal(Buffer.concat(heard).toString(), "hello");
});

test("a certificate that proves nothing is refused, and the sentence says why", async () => {
  await using server = await listening(echoServer());
  setDefaultCACertificates(authorities);
  const untrusted = { code: "DIAL_TLS", message: /^no TLS with localhost:\d+: .* authority this node does not trust/ };
  await assert.rejects(dialTls("localhost", server.port, signal), untrusted);
  setDefaultCACertificates([echo.cert]);
  const { address } = await lookup("localhost");
  const otherName = { code: "DIAL_TLS", message: /its certificate is for another name$/ };
  await assert.rejects(dialTls(address, server.port, signal), otherName);
});

test("who speaks no TLS, or says goodbye at once, is told apart from who is not there", async () => {
  {
    await using plain = await listening(
      createTcpServer((socket) =>
        socket
          .on("error", () => {})
          .resume()
          .end("RTSP/1.0 400\r\n\r\n"),
      ),
    );
    await assert.rejects(dialTls("localhost", plain.port, signal), {
      code: "DIAL_TLS",
      message: /it speaks no TLS there$/,
    });
  }
  const silent = await listening(
    createTcpServer((socket) =>
      socket
        .on("error", () => {})
        .resume()
        .end(),
    ),
  );
  await assert.rejects(dialTls("localhost", silent.port, signal), {
    code: "DIAL_TLS",
    message: /closed the connection$/,
  });
  await silent[Symbol.asyncDispose]();
  for (const dial of [dialTcp, dialTls]) {
    await assert.rejects(dial("localhost", silent.port, signal), {
      code: "DIAL_FAILED",
      message: /nothing listens there/,
    });
  }
});

test("a handshake that nobody answers is given up when asked, with nothing left open", async () => {
  const ended = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const mute = createTcpServer((socket) => {
    socket.on("error", () => {}).on("close", ended.resolve);
    socket.once("data", () => asked.resolve());
  });
  await using server = await listening(mute);
  const abort = new AbortController();
  const dialled = dialTls("localhost", server.port, abort.signal);
  await asked.promise;
  abort.abort();
  await assert.rejects(dialled, { code: "DIAL_ABORTED" });
  await ended.promise;
  await assert.rejects(dialTls("localhost", server.port, abort.signal), { code: "DIAL_ABORTED" });
});
