import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { SettingError } from "./flow/errors.ts";
import { runProbe } from "./probe-command.ts";

test("a source that refuses is said not to play, with the reason, and fails the command", async (t) => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (request) => {
      const cseq = /CSeq: (\d+)/.exec(request.toString())?.[1] ?? "1";
      socket.write(`RTSP/1.0 404 Not Found\r\nCSeq: ${cseq}\r\n\r\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const url = `rtsp://127.0.0.1:${(server.address() as AddressInfo).port}/live`;
  const { output, exitCode } = await runProbe([url]);
  assert.equal(exitCode, 1);
  assert.match(output, /^problem {2}the server has no such stream .*\nIt does not play\.\n$/);
  const told: unknown = JSON.parse((await runProbe([url, "--json"])).output);
  assert.equal(Reflect.get(Object(told), "isPlayable"), false);
});

test("a probe wants one RTSP URL", async () => {
  for (const args of [[], ["http://x/y"], ["rtsp://a/b", "rtsp://c/d"]]) {
    await assert.rejects(runProbe(args), SettingError);
  }
});
