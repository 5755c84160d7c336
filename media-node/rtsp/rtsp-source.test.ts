import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { openRtspSource, type RtspSourceOptions } from "./rtsp-source.ts";

function opener(over: Partial<RtspSourceOptions> = {}) {
  const clock = new ManualClock();
  const dial = () => Promise.reject(new Error("nobody dials here"));
  const open = openRtspSource({ dial, clock, logger: silentLogger, ...over });
  return { clock, open: (url: string, signal = new AbortController().signal) => open(url, { signal }) };
}

test("says in a sentence why there is no connection", async () => {
  const rows: [code: string, message: RegExp][] = [
    ["ECONNREFUSED", /^nothing listens at cam:8554/],
    ["ENOTFOUND", /^the name cam does not resolve$/],
    ["ETIMEDOUT", /^cam:8554 does not answer/],
    ["EHOSTUNREACH", /^there is no way to cam:8554/],
  ];
  for (const [code, message] of rows) {
    const { open } = opener({ dial: () => Promise.reject(Object.assign(new Error(code), { code })) });
    await assert.rejects(open("rtsp://u:secret@cam:8554/x"), { name: "TransportError", code: `RTSP_${code}`, message });
  }
});

test("refuses rtsps:// where no TLS is at hand, and dials it where there is", async () => {
  await assert.rejects(opener().open("rtsps://cam/x"), { code: "RTSP_NO_TLS" });
  const dialled: string[] = [];
  const dialTls = (host: string, port: number) => {
    dialled.push(`${host}:${port}`);
    return Promise.reject(new Error("enough"));
  };
  await assert.rejects(opener({ dialTls }).open("rtsps://cam/x"), { name: "TransportError" });
  assert.deepEqual(dialled, ["cam:322"]);
});

test("gives up at once when it is aborted, in whatever it is doing", async () => {
  const early = new AbortController();
  early.abort(new Error("too late"));
  await assert.rejects(opener().open("rtsp://cam/x", early.signal), { code: "RTSP_ABORTED", message: "too late" });

  const dialling = new AbortController();
  const dial = (_host: string, _port: number, signal: AbortSignal): Promise<never> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
    });
  const first = opener({ dial }).open("rtsp://cam/x", dialling.signal);
  dialling.abort(new Error("timed out"));
  await assert.rejects(first, { name: "TransportError" });

  const [ours, theirs] = duplexPair();
  const waiting = new AbortController();
  const asked = new Promise((resolve) => {
    ours.once("data", resolve);
  });
  const { clock, open } = opener({ dial: async () => theirs });
  const second = open("rtsp://cam/x", waiting.signal);
  await asked;
  waiting.abort(new Error("timed out"));
  await assert.rejects(second, { code: "RTSP_ABORTED" });
  assert.equal(theirs.destroyed, true);
  assert.equal(clock.pendingTimers, 0);
});
