import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSource } from "../test/support/fake-source.ts";
import { descriptionOf, opusTrack, videoSample, videoTrack } from "../test/support/synthetic-stream.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import type { Sample } from "./core/sample.ts";
import type { StreamDescription } from "./core/stream.ts";
import { subtitlesOf, withDeclaredSubtitles } from "./declared-subtitles.ts";

const read = (profiles: string) =>
  parseServerXml(
    `<Server version="8"><Name>n</Name><Type>origin</Type><IP>*</IP><Bind><Publishers><LLHLS><Port>80</Port></LLHLS></Publishers></Bind><VirtualHosts><VirtualHost>
     <Name>default</Name><Host><Names><Name>*</Name></Names></Host>
     <Applications><Application><Name>app</Name><Type>live</Type><OutputProfiles>${profiles}</OutputProfiles>
     <Providers><RTSPPull /></Providers><Publishers><LLHLS /></Publishers></Application></Applications>
     </VirtualHost></VirtualHosts></Server>`,
    { path: "Server.xml", env: {} },
  );

const profiles = `<HardwareAcceleration>true</HardwareAcceleration>
  <MediaOptions><Subtitles><Enable>true</Enable><DefaultLabel>Korean</DefaultLabel>
    <Rendition><Language>ko</Language><Label>Korean</Label><AutoSelect>true</AutoSelect><Forced>false</Forced></Rendition>
    <Rendition><Language>en</Language><Label>English</Label></Rendition>
  </Subtitles></MediaOptions>
  <OutputProfile><Name>p</Name><OutputStreamName>\${OriginStreamName}</OutputStreamName><Encodes><Video/></Encodes>
    <Playlist><Name>s</Name><FileName>small</FileName><Options><WebRtcAutoAbr>true</WebRtcAutoAbr>
      <EnableSubtitles>false</EnableSubtitles></Options><Rendition><Name>r</Name></Rendition></Playlist>
    <Playlist><Name>l</Name><FileName>large</FileName></Playlist></OutputProfile>`;
const name = { vhost: "default", app: "app", stream: "cam" };

test("OutputProfiles of OvenMediaEngine are read for their subtitles, and what else they hold is said once to be unused", () => {
  const { config, problems } = read(profiles);
  assert.deepEqual(
    problems.map(({ code, severity, path }) => `${severity} ${code} ${path.split("/").at(-1)}`),
    ["warning not-used OutputProfiles"],
  );
  assert.deepEqual(subtitlesOf(config!, name), {
    renditions: [
      { label: "Korean", language: "ko", isDefault: true, isAutoSelect: true, isForced: false },
      { label: "English", language: "en", isDefault: false, isAutoSelect: false, isForced: false },
    ],
    exceptPlaylists: ["small"],
  });
  assert.equal(subtitlesOf(config!, { ...name, app: "other" }), undefined);
  const off = read(profiles.replace("<Enable>true", "<Enable>false"));
  assert.equal(subtitlesOf(off.config!, name), undefined);
});

test("a default that is no rendition, and labels that are given twice, are told with a remedy", () => {
  const { problems } = read(
    profiles.replace(">Korean</DefaultLabel>", ">Corean</DefaultLabel>").replace("<Label>English", "<Label>Korean"),
  );
  assert.deepEqual(
    problems.filter(({ code }) => code === "bad-value").map(({ message, remedy }) => `${message} ${remedy}`),
    [
      'No subtitle rendition is called "Corean". Write one of: Korean, Korean.',
      'Two subtitle renditions are called "Korean"; the first counts. Give each a label of its own.',
    ],
  );
});

test("a stream that begins here is described with the tracks that its application declares, whatever else changes", async () => {
  const source = new FakeSource(descriptionOf([videoTrack, opusTrack]));
  const { config } = read(profiles);
  const open = withDeclaredSubtitles(
    () => Promise.resolve(source),
    (asked) => subtitlesOf(config!, asked),
  );
  const signal = new AbortController().signal;
  const opened = await open("rtsp://camera", { signal, stream: name });
  const tracks = ({ tracks }: StreamDescription): unknown =>
    tracks.map(({ id, kind, language, subtitle }) => [id, kind, language, subtitle?.label]);
  const expected = [
    [0, "video", undefined, undefined],
    [1, "audio", undefined, undefined],
    [1_000, "subtitle", "ko", "Korean"],
    [1_001, "subtitle", "en", "English"],
  ];
  assert.deepEqual(tracks(opened.description), expected);
  assert.deepEqual(opened.description.tracks[2]!.subtitle!.exceptPlaylists, ["small"]);
  const samples: Sample[] = [];
  opened.start({ onSample: (sample) => samples.push(sample), onDescription: () => {}, onEnd: () => {} });
  source.push(videoSample(0));
  assert.equal(samples.length, 1);
  assert.equal(await open("rtsp://camera", { signal, stream: { ...name, app: "other" } }), source);
  assert.equal(await open("rtsp://camera", { signal, stream: name, isProbe: true }), source);
});
