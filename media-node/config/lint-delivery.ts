import { isHeader } from "./cross-domains.ts";
import type { LintInput } from "./lint.ts";
import type { Place } from "./schema.ts";

/** Settings of delivery that cannot be followed as they are written. */
export function lintDelivery(input: LintInput): void {
  const { value, warn, fail } = input;
  for (const vhost of value.VirtualHosts?.VirtualHost ?? []) {
    for (const { OutputProfiles: profiles, Publishers: publishers } of vhost.Applications?.Application ?? []) {
      lintSubtitles(profiles?.MediaOptions?.Subtitles, input);
      const llhls = publishers?.LLHLS;
      if (llhls && llhls.ChunkDuration > llhls.SegmentDuration) {
        const message = `Parts of ${llhls.ChunkDuration} s do not fit into segments of ${llhls.SegmentDuration} s.`;
        const at = llhls.$.child(llhls.$.has("ChunkDuration") ? "ChunkDuration" : "SegmentDuration");
        fail(at, "bad-value", message, "Make SegmentDuration several times ChunkDuration.");
      }
      for (const [index, { Key }] of (llhls?.DefaultQueryString?.Query ?? []).entries()) {
        if (Key === "_HLS_legacy" || Key === "_HLS_rewind") continue;
        const at = llhls!.DefaultQueryString!.$.item("Query", index);
        warn(at, "bad-value", `Nobody reads the query key "${Key}".`, "Write _HLS_legacy or _HLS_rewind.");
      }
      const delay = publishers?.WebRTC?.PlayoutDelay;
      if (delay && delay.Max < delay.Min) {
        const message = `A playout delay of at least ${delay.Min} ms cannot be at most ${delay.Max} ms: ${delay.Min} ms is asked for.`;
        warn(delay.$.has("Max") ? delay.$.child("Max") : delay.$, "bad-value", message, "Give a Max of at least Min.");
      }
      lintDvr(llhls, input);
      lintCrossDomains(llhls?.CrossDomains, input);
      lintCrossDomains(publishers?.HLS?.CrossDomains, input);
      lintCrossDomains(publishers?.WebRTC?.CrossDomains, input);
    }
  }
  lintCrossDomains(value.Defaults?.CrossDomains, input);
  lintIce(input);
  lintIceServers(input);
}

interface SubtitlesValue {
  readonly Enable: boolean;
  readonly DefaultLabel: string;
  readonly Rendition: readonly { readonly Label: string; readonly $: Place }[];
  readonly $: Place;
}

function lintSubtitles(subtitles: SubtitlesValue | undefined, { warn }: LintInput): void {
  if (!subtitles?.Enable) return;
  const labels = subtitles.Rendition.map(({ Label }) => Label.trim());
  for (const [index, label] of labels.entries()) {
    if (labels.indexOf(label) === index) continue;
    const message = `Two subtitle renditions are called "${label}"; the first counts.`;
    warn(subtitles.$.item("Rendition", index), "bad-value", message, "Give each a label of its own.");
  }
  const wanted = subtitles.DefaultLabel.trim();
  if (wanted === "" || labels.includes(wanted)) return;
  const message = `No subtitle rendition is called "${wanted}".`;
  warn(subtitles.$.child("DefaultLabel"), "bad-value", message, `Write one of: ${labels.join(", ")}.`);
}

interface LlhlsValue {
  readonly SegmentDuration: number;
  readonly SegmentCount: number;
  readonly DVR:
    | undefined
    | {
        readonly Enable: boolean;
        readonly TempStoragePath: string | undefined;
        readonly MaxDuration: number;
        readonly $: Place;
      };
}

function lintDvr(llhls: LlhlsValue | undefined, { warn }: LintInput): void {
  const dvr = llhls?.DVR;
  if (!dvr?.Enable) return;
  const folder = dvr.TempStoragePath?.trim() ?? "";
  if (folder !== "" && !folder.startsWith("/")) {
    const message = `"${folder}" is another folder for every way the node is started.`;
    warn(dvr.$.child("TempStoragePath"), "bad-value", message, "Write the whole path: /var/cache/hearth.");
  }
  const liveSeconds = llhls!.SegmentDuration * llhls!.SegmentCount;
  if (dvr.MaxDuration <= liveSeconds) {
    const message = `Nobody can rewind: ${dvr.MaxDuration} s back is within the live window of ${liveSeconds} s.`;
    warn(
      dvr.$.child("MaxDuration"),
      "bad-value",
      message,
      "Write the seconds that viewers may go back, 3600 for an hour.",
    );
  }
}

interface CrossDomainsValue {
  readonly Url: readonly string[];
  readonly Header: readonly { readonly Key: string; readonly Value: string; readonly $: Place }[];
  readonly $: Place;
}

function lintCrossDomains(value: CrossDomainsValue | undefined, { warn, fail }: LintInput): void {
  if (!value) return;
  if (value.Url.length === 0) {
    const remedy = "Name the pages, or * for all.";
    warn(value.$, "covers-nothing", "No page may read the answers: there is no Url.", remedy);
  }
  for (const { Key, Value, $ } of value.Header) {
    if (isHeader({ key: Key, value: Value })) continue;
    fail($, "bad-value", `"${Key}" with its value is no HTTP header.`, "Write a name and a value of plain characters.");
  }
}

/** RFC 7064 and 7065; stands between brackets in a header, and its names in quotes. */
const iceServerUrl = /^(stuns?|turns?):[\w.:[\]-]+(\?transport=(udp|tcp))?$/i;
const printable = /^[\x20-\x7e]*$/;

/** What is wrong here reaches no player, or spoils every answer. */
function lintIceServers({ value, config, fail, warn }: LintInput): void {
  const servers = value.Bind?.Publishers?.WebRTC?.IceServers?.IceServer ?? [];
  for (const [at, { $, Urls, UserName = "", Credential = "" }] of servers.entries()) {
    const { urls } = config.bind.webrtc.iceServers[at]!;
    for (const [index, url] of urls.entries()) {
      if (iceServerUrl.test(url)) continue;
      const message = `"${url}" is no address of a STUN or TURN server.`;
      fail(Urls!.$.item("Url", index), "bad-value", message, "Write turn:host:port or stun:host:port.");
    }
    if (!printable.test(UserName + Credential)) {
      fail($, "bad-value", "UserName and Credential must be plain characters.", "Write letters, digits and signs.");
    }
    if (urls.some((url) => /^turn/i.test(url)) && (UserName === "" || Credential === "")) {
      const remedy = "Give UserName and Credential.";
      warn($, "bad-value", "Browsers take no TURN server without a user: their connection fails.", remedy);
    }
  }
}

/** One UDP port serves all viewers: other ports of the file stay closed, which a firewall does not mind. */
function lintIce({ value, config, warn }: LintInput): void {
  const candidates = value.Bind?.Publishers?.WebRTC?.IceCandidates;
  if (!candidates) return;
  const settings = config.bind.webrtc.iceCandidates;
  const port = settings[0]?.ports[0]?.first;
  for (const [index, { host, ports }] of settings.entries()) {
    const at = candidates.$.item("IceCandidate", index);
    if (ports[0]?.first !== port) {
      const message = `Hearth opens port ${port} for all viewers: this candidate's port is not opened.`;
      warn(at, "not-followed", message, "Give all candidates the same first port.");
    }
    if (host === "${PublicIP}" && config.stunServer === undefined) {
      warn(
        at,
        "bad-value",
        "${PublicIP} is not known: there is no StunServer.",
        "Add Server/StunServer, or an address.",
      );
    }
  }
}
