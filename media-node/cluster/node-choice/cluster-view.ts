import type { ClusterSnapshot, ClusterStreamName, NodeRecord } from "../store/contract.ts";
import { nodeLeaseMs } from "../store/keys.ts";
import { parseNodeRecord, type NodeRecordVerdict } from "../store/node-record.ts";
import type { SigningKey } from "../ticket/signing-key.ts";
import type { ViewerProtocol } from "../ticket/ticket.ts";
import { regionWords } from "./nearness.ts";
import { hashText } from "./rendezvous.ts";

/** A node as decisions see it: what it says of itself, believed, and what is worked out once per snapshot. */
export interface NodeView {
  readonly record: NodeRecord;
  readonly hash: number;
  /** See {@link regionWords}. */
  readonly region: readonly string[];
  /** Whether `record.protocols` has each: read a thousand times a decision. */
  readonly delivers: Readonly<Record<ViewerProtocol, boolean>>;
  /** Its record has run out, and it did not say good-bye: perhaps gone, perhaps only its report is missing. */
  readonly isSilent: boolean;
  /** It should have reported by now. Perhaps it just died: its record stands for some seconds yet. */
  readonly isLate: boolean;
}

/** What decisions need of a node besides its record. */
export function viewNode(record: NodeRecord, { isSilent = false, isLate = false } = {}): NodeView {
  return {
    record,
    hash: hashText(record.id),
    region: wordsOf(record.region),
    delivers: {
      webrtc: record.protocols.includes("webrtc"),
      whep: record.protocols.includes("whep"),
      llhls: record.protocols.includes("llhls"),
    },
    isSilent,
    isLate,
  };
}

const regions = new Map<string, readonly string[]>();

/** {@link regionWords}, one array for all nodes of a region: decisions weigh regions, of which there are few. */
function wordsOf(region: string): readonly string[] {
  const known = regions.get(region);
  if (known) return known;
  const words = regionWords(region);
  if (regions.size >= maxNodes) regions.clear();
  regions.set(region, words);
  return words;
}

/** The cluster at one moment, checked. */
export interface ClusterView {
  /** Unix ms by the store's clock. */
  readonly nowMs: number;
  readonly nodes: readonly NodeView[];
  /** Records that were not believed, with the reason. */
  readonly refused: readonly { readonly id: string; readonly reason: string }[];
}

/** `vhost/app/stream`, as node records name streams. */
export function recordKey(name: ClusterStreamName): string {
  return `${name.vhost}/${name.app}/${name.stream}`;
}

interface Seen {
  readonly view: NodeView;
  /** By the store's clock: when it was last there, and when its record last became another one. */
  lastMs: number;
  readonly changedMs: number;
}

/** Nodes report every 2 s. Told by our own reads and the store's clock, so that no node's clock matters. */
const lateMs = 3_000;
const maxNodes = 5_000;

/** Reads node records out of snapshots; remembers those it has seen, because most come unchanged and some go missing. */
export class ClusterViewReader {
  readonly #key: SigningKey | undefined;
  readonly #isAllowedHost: (host: string) => boolean;
  #verdicts = new Map<string, NodeRecordVerdict>();
  readonly #seen = new Map<string, Seen>();

  /** @param isAllowedHost whether viewers may be sent to that host name, whatever a record says */
  constructor(key: SigningKey | undefined, isAllowedHost: (host: string) => boolean = () => true) {
    this.#key = key;
    this.#isAllowedHost = isAllowedHost;
  }

  /** Checks every record of a snapshot. Two records of one id: the later signed counts. Never throws. */
  async read(snapshot: ClusterSnapshot): Promise<ClusterView> {
    const verdicts = await this.#verify(snapshot);
    const latest = new Map<string, Extract<NodeRecordVerdict, { trusted: true }>>();
    const refused: { id: string; reason: string }[] = [];
    for (const verdict of verdicts) {
      if (!verdict.trusted) refused.push({ id: verdict.id, reason: refusalWords[verdict.refusal] });
      else if (!this.#isAllowedHost(new URL(verdict.record.url).hostname))
        refused.push({ id: verdict.record.id, reason: "its address is not on the list of allowed hosts" });
      else if ((latest.get(verdict.record.id)?.signedMs ?? -1) < verdict.signedMs)
        latest.set(verdict.record.id, verdict);
    }
    for (const { record } of latest.values()) {
      const known = this.#seen.get(record.id);
      if (known?.view.record === record) known.lastMs = snapshot.nowMs;
      else this.#seen.set(record.id, { view: viewNode(record), lastMs: snapshot.nowMs, changedMs: snapshot.nowMs });
    }
    return { nowMs: snapshot.nowMs, nodes: this.#views(snapshot.nowMs), refused };
  }

  /** A signature is checked once: a record that comes again, byte for byte, can only have grown old. */
  async #verify(snapshot: ClusterSnapshot): Promise<NodeRecordVerdict[]> {
    const verdicts = await Promise.all(
      snapshot.nodes.slice(0, maxNodes).map(async (text) => {
        const known = this.#verdicts.get(text);
        const isUnchanged = known?.trusted && Math.abs(snapshot.nowMs - known.signedMs) < nodeLeaseMs;
        return [text, isUnchanged ? known : await parseNodeRecord(this.#key, text, snapshot.nowMs)] as const;
      }),
    );
    this.#verdicts = new Map(verdicts);
    return verdicts.map(([, verdict]) => verdict);
  }

  #views(nowMs: number): NodeView[] {
    const views: NodeView[] = [];
    for (const [id, { view, lastMs, changedMs }] of this.#seen) {
      const isSilent = lastMs !== nowMs;
      // A node that was draining when it left has left.
      if (isSilent && (nowMs - lastMs > rememberMs || view.record.state !== "serving")) this.#seen.delete(id);
      else if (isSilent) views.push({ ...view, isSilent });
      else views.push(nowMs - changedMs > lateMs ? { ...view, isLate: true } : view);
    }
    return views;
  }
}

/** Long enough for a store that restarted empty, or for reports that do not get through; short for a machine that died. */
const rememberMs = 60_000;

const refusalWords = {
  "too-long": "its record is too long",
  malformed: "its record cannot be read",
  forged: "its record is not signed with the cluster's secret",
  stale: "its record was signed too long ago",
} as const;
