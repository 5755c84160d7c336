import type { Variant } from "./master-playlist.ts";
import { PreparedText, type PreparedFile } from "./reply.ts";
import type { StreamOutput } from "./stream-output.ts";
import type { TsFileName } from "./ts-names.ts";
import { tsMasterPlaylist, tsMediaPlaylist, type TsMasterOptions } from "./ts-playlists.ts";
import { TsVariants, type TsVariant, type TsWriting } from "./ts-variant.ts";

/** What HLS version 3 answers with: texts and segments, each made once however many viewers ask. */
export class TsShelf {
  readonly variants: TsVariants;
  readonly #targetSeconds: number;
  readonly #texts = new WeakMap<TsVariant, { readonly version: number; readonly text: PreparedText }>();

  constructor(writing: TsWriting, targetSeconds: number) {
    this.variants = new TsVariants(writing);
    this.#targetSeconds = targetSeconds;
  }

  master(
    output: StreamOutput,
    variants: readonly Variant[],
    options: Omit<TsMasterOptions, "streamKey">,
  ): Promise<string> {
    const muxed = variants.map(({ video, audio }) => this.variants.of(output, video, audio));
    return tsMasterPlaylist([...new Set(muxed)], { ...options, streamKey: output.streamKey });
  }

  media(output: StreamOutput, variant: TsVariant): PreparedText {
    const { version } = variant;
    const known = this.#texts.get(variant);
    if (known?.version === version) return known.text;
    const text = new PreparedText(tsMediaPlaylist(variant, this.#targetSeconds, output.stream.description.epochMs));
    this.#texts.set(variant, { version, text });
    return text;
  }

  /**
   * A segment, or without `file` the name of the one to ask for: another edge joined this one in its middle and named
   * what it has of it by when that began, or it is a gap.
   */
  find(
    variant: TsVariant,
    { msn, key }: Extract<TsFileName, { kind: "ts-segment" }>,
  ): { readonly uri: string; readonly file?: Promise<PreparedFile> } | undefined {
    const segment = variant.segmentAt(msn);
    if (!segment) return undefined;
    if (segment.isGap) {
      const next = variant.firstAfter(msn);
      return next && { uri: next.uri };
    }
    if (segment.key === key) return { uri: segment.uri, file: segment.file() };
    // A marked name of ours is not what somebody else calls the whole of it.
    return key.startsWith(`${segment.key}-`) ? { uri: segment.uri } : undefined;
  }
}
