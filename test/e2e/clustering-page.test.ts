// The blocks of OvenMediaEngine's page on clustering, as printed but for hosts and ports, in processes that deliver.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { startFromXml } from "../support/failover-world.ts";
import { startRtspServer } from "../support/rtsp-server.ts";

const clip = new URL("../../infra/laptop/loop.mp4", import.meta.url).pathname;
const block = (name: string): string =>
  readFileSync(new URL(`../fixtures/config/documentation/${name}.xml`, import.meta.url), "utf8");

const files = ["stream_720p", "other"].map(
  (stream) =>
    `<Origin><Location>/app/${stream}</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin>`,
);

const launch =
  "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1 ! x264enc tune=zerolatency " +
  "key-int-max=25 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 config-interval=-1";

test(
  "the page's edge makes applications for its three rules, and pulls by OVT and by RTSP into them",
  { timeout: 60_000 },
  async (t) => {
    const printed = block("origin").replace("...", "<Name>app</Name><Type>live</Type>").replace(">9000<", ">0<");
    const origin = await startFromXml(
      printed.replace("<Applications>", `<Origins>${files.join("")}</Origins><Applications>`),
    );
    t.after(() => origin.close({ code: "done" }));
    const camera = await startRtspServer("--mount", "/live/cam", launch);
    t.after(() => camera.close());
    const rules = block("origin-map")
      .replaceAll("origin.com:9000", `127.0.0.1:${origin.ovtPort}`)
      .replaceAll("origin2.com:9000", `127.0.0.1:${camera.port}`);
    const template = block("dynamic-application")
      .replace("...", "")
      .replace("<SegmentDuration>6<", "<SegmentDuration>1<");
    const edge = await startFromXml(
      `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP><Bind><Publishers><LLHLS><Port>0</Port></LLHLS></Publishers></Bind>
${rules.replace("</Origins>", `</Origins>${template}`)}</Server>`,
    );
    t.after(() => edge.close({ code: "done" }));
    const pulled = async (name: string, query = ""): Promise<string | undefined> => {
      const answer = await fetch(`${edge.url}/${name}/llhls.m3u8${query}`);
      assert.equal(answer.status, 200, name);
      assert.match(await answer.text(), /EXT-X-STREAM-INF/);
      const [app, stream] = name.split("/") as [string, string];
      const { state } = edge.hub.look({ vhost: "default", app, stream })!.pull!;
      return state.phase === "live" ? state.url : undefined;
    };
    const urls = await Promise.all([
      pulled("app/stream", "?transport=tcp"),
      pulled("app/other"),
      pulled("live/cam", "?transport=tcp"),
    ]);
    assert.deepEqual(urls, [
      `ovt://127.0.0.1:${origin.ovtPort}/app/stream_720p?transport=tcp`,
      `OVT://127.0.0.1:${origin.ovtPort}/app/other`,
      `RTSP://127.0.0.1:${camera.port}/live/cam`,
    ]);
    assert.equal((await fetch(`${edge.url}/app/none/llhls.m3u8`)).status, 404);
  },
);
