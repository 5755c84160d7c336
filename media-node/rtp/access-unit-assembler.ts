import { splitAnnexB, startCode } from "../codecs/annex-b.ts";
import { joinPieces, maxFrameBytes, maxFramePieces, type EmitFrame } from "./depacketizer.ts";

/** What the assembler must know of a codec made of NAL units. */
export interface NalTraits {
  /** NAL unit type from the first header byte. */
  typeOf(firstByte: number): number;
  isSlice(type: number): boolean;
  /** Whether decoding can start at a slice of this type. */
  isKeySlice(type: number): boolean;
  isParameterSet(type: number): boolean;
  /** Carries nothing a decoder needs. */
  isFiller(type: number): boolean;
  /** Whether pictures with such a slice cannot be decoded after a start at the random access point before them. */
  isLeading?(type: number): boolean;
  /** Whether a whole unit that is no slice says that nothing before this picture is needed any more. */
  isRecoveryPoint?(nal: Uint8Array): boolean;
  /** Index of the byte whose top bit tells the first slice of a picture: the first one after the NAL header. */
  readonly headerLength: number;
}

/** Parameter sets and SEI waiting for a picture; more is an attack or nonsense. */
const maxLeadingNals = 64;

/**
 * Puts NAL units together to access units. A unit ends at the RTP marker or at a new timestamp; whether the marker can
 * be trusted is proven by the first unit, since some cameras set it on every slice and some never set it.
 * An access unit that misses anything is thrown away whole.
 */
export class AccessUnitAssembler {
  readonly #traits: NalTraits;
  readonly #emit: EmitFrame;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #nalCount = 0;
  #parameterSets: Uint8Array[] = [];
  /** Parameter sets that came behind a slice. */
  #aside: Uint8Array[] = [];
  #hasSlice = false;
  #isKey = false;
  #isLeading = false;
  #isRecovery = false;
  #timestamp: number | undefined;
  /** Index in `#pieces` of the open fragmented unit's first piece; -1 = none open. */
  #fragmentAt = -1;
  #fragmentType = 0;
  #fragmentBytes = 0;
  /** The unit at `#timestamp` is incomplete: nothing of it is kept. */
  #isBroken = false;
  #isAfterLoss = false;
  #emittedTimestamp: number | undefined;
  #marker: "unproven" | "trusted" | "distrusted" = "unproven";
  #markersInUnit = 0;
  #isLastMarked = false;
  #discarded = 0;

  constructor(traits: NalTraits, emit: EmitFrame) {
    this.#traits = traits;
    this.#emit = emit;
  }

  get discarded(): number {
    return this.#discarded;
  }

  /** Begins a packet: ends the unit before it when the timestamp is new. */
  beginPacket(timestamp: number, isAfterLoss: boolean): void {
    if (isAfterLoss) this.#lose();
    if (timestamp !== this.#timestamp) {
      this.#endByTimestamp();
      this.#timestamp = timestamp;
    }
  }

  endPacket(marker: boolean): void {
    this.#isLastMarked = marker;
    // What follows the end of a broken unit is a new one, even on a clock that stands still.
    if (marker && this.#isBroken && this.#marker === "trusted") this.#clear();
    if (!marker || !this.#hasSlice || this.#isBroken) return;
    if (this.#fragmentAt >= 0) this.endFragment();
    this.#markersInUnit++;
    if (this.#marker === "trusted") this.#finish();
  }

  /** One whole NAL unit. */
  push(nal: Uint8Array): void {
    if (this.#fragmentAt >= 0) this.endFragment();
    if (nal.length <= this.#traits.headerLength) return;
    const type = this.#traits.typeOf(nal[0]!);
    if (this.#hasSlice && this.#traits.isParameterSet(type)) return this.#setAside(nal);
    if (this.#traits.isFiller(type) || !this.#admits(type, nal[this.#traits.headerLength]!)) return;
    this.#hold(startCode);
    this.#hold(nal);
    this.#endNal(type, nal);
  }

  /** The first fragment of a unit, with its rebuilt header. */
  beginFragment(header: Uint8Array, payload: Uint8Array): void {
    if (this.#fragmentAt >= 0) this.endFragment();
    const type = this.#traits.typeOf(header[0]!);
    if (payload.length === 0 || !this.#admits(type, payload[0]!)) return;
    this.#hold(startCode);
    this.#fragmentAt = this.#pieces.length;
    this.#fragmentType = type;
    this.#fragmentBytes = 0;
    this.#holdFragment(header);
    this.#holdFragment(payload);
  }

  /** A later fragment; without an open unit the access unit is broken. */
  pushFragment(payload: Uint8Array): void {
    if (this.#isBroken) return;
    if (this.#fragmentAt < 0) this.breakUnit();
    else this.#holdFragment(payload);
  }

  endFragment(): void {
    if (this.#fragmentAt < 0) return;
    const at = this.#fragmentAt;
    const length = this.#fragmentBytes;
    this.#fragmentAt = -1;
    if (!this.#traits.isParameterSet(this.#fragmentType)) return this.#endNal(this.#fragmentType);
    const nal = joinPieces(this.#pieces.slice(at), length);
    // Parameter sets are never so long as to be fragmented: some cameras put the whole access unit there.
    const nals = splitAnnexB(joinPieces([startCode, nal], nal.length + startCode.length));
    if (nals.length === 1) return this.#endNal(this.#fragmentType, nal);
    this.#pieces.length = at - 1;
    this.#bytes -= length + startCode.length;
    for (const inner of nals) this.push(inner);
  }

  /** Throws away the unit being put together and what follows with the same timestamp. */
  breakUnit(): void {
    if (this.#isBroken) return;
    this.#discarded++;
    this.#clear();
    this.#isBroken = true;
    this.#isAfterLoss = true;
  }

  /**
   * Parameter sets behind a slice are the head of the next unit, or were repeated before every slice of this one, where
   * decoders would take them for the next unit's head.
   */
  #setAside(nal: Uint8Array): void {
    if (!this.#isBroken && this.#aside.length < maxLeadingNals) this.#aside.push(nal);
  }

  #lose(): void {
    this.#isAfterLoss = true;
    if (this.#pieces.length > 0) this.breakUnit();
  }

  #admits(type: number, byteAfterHeader: number): boolean {
    if (this.#isBroken) return false;
    if (!this.#traits.isSlice(type)) return true;
    const isFirstSlice = byteAfterHeader >= 0x80;
    if (!this.#hasSlice && !isFirstSlice) {
      // Either the picture's head was lost, or the marker cut the picture in two.
      if (this.#marker === "trusted" && this.#emittedTimestamp === this.#timestamp) this.#marker = "distrusted";
      this.breakUnit();
      return false;
    }
    if (this.#hasSlice && isFirstSlice && this.#isLastMarked) {
      // A new picture with the old timestamp: a camera whose clock stands still.
      this.#finish();
    }
    this.#hasSlice = true;
    this.#aside = [];
    return true;
  }

  /** @param nal the unit, where it came whole */
  #endNal(type: number, nal?: Uint8Array): void {
    if (this.#isBroken) return;
    this.#nalCount++;
    if (this.#traits.isKeySlice(type)) this.#isKey = true;
    if (this.#traits.isLeading?.(type)) this.#isLeading = true;
    if (nal && this.#traits.isParameterSet(type)) this.#parameterSets.push(nal.slice());
    if (nal && this.#traits.isRecoveryPoint?.(nal)) this.#isRecovery = true;
    if (!this.#hasSlice && this.#nalCount > maxLeadingNals) this.breakUnit();
  }

  #holdFragment(piece: Uint8Array): void {
    this.#fragmentBytes += piece.length;
    this.#hold(piece);
  }

  #hold(piece: Uint8Array): void {
    if (this.#isBroken) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes > maxFrameBytes || this.#pieces.length > maxFramePieces) this.breakUnit();
  }

  #endByTimestamp(): void {
    if (this.#fragmentAt >= 0) this.endFragment();
    if (this.#hasSlice) {
      if (this.#marker === "unproven" && this.#markersInUnit > 0) {
        this.#marker = this.#markersInUnit === 1 && this.#isLastMarked ? "trusted" : "distrusted";
      }
      this.#finish();
    } else if (this.#isBroken) this.#clear();
    // Parameter sets that came with a timestamp of their own stay, for the picture that follows.
  }

  #finish(): void {
    if (this.#hasSlice && !this.#isBroken && this.#timestamp !== undefined) {
      const isAfterLoss = this.#isAfterLoss;
      this.#isAfterLoss = false;
      this.#emittedTimestamp = this.#timestamp;
      const frame = {
        timestamp: this.#timestamp,
        data: joinPieces(this.#pieces, this.#bytes),
        isKeyframe: this.#isKey,
        isAfterLoss,
        ...(this.#isRecovery && { isRecovery: true }),
        ...(this.#isLeading && { isLeading: true }),
      };
      const parameterSets = this.#parameterSets;
      const aside = this.#aside;
      this.#clear();
      this.#emit(parameterSets.length > 0 ? { ...frame, parameterSets } : frame);
      for (const nal of aside) this.push(nal);
    } else this.#clear();
  }

  #clear(): void {
    this.#pieces = [];
    this.#aside = [];
    this.#bytes = 0;
    this.#nalCount = 0;
    this.#parameterSets = [];
    this.#hasSlice = false;
    this.#isKey = false;
    this.#isLeading = false;
    this.#isRecovery = false;
    this.#fragmentAt = -1;
    this.#isBroken = false;
    this.#markersInUnit = 0;
  }
}
