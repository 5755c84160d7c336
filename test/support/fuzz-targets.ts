import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

const tests = join(import.meta.dirname, "..");

/** One parser under fire: `test/fuzz/NAME.ts`, its seeds there or in `test/fixtures/fuzz/NAME/`. */
export interface FuzzTarget {
  readonly name: string;
  /** Throws only what is a bug. */
  readonly fuzz: (input: Uint8Array) => void;
  readonly seeds: readonly Uint8Array[];
}

interface FuzzModule {
  readonly fuzz?: (input: Uint8Array) => void;
  readonly seeds?: readonly (Uint8Array | string)[];
}

/** Every target there is. */
export async function loadFuzzTargets(): Promise<FuzzTarget[]> {
  const targets: FuzzTarget[] = [];
  for (const file of globSync(join(tests, "fuzz/*.ts")).toSorted()) {
    const name = basename(file, ".ts");
    if (name === "run" || name.endsWith(".test")) continue;
    const { fuzz, seeds = [] } = (await import(file)) as FuzzModule;
    if (fuzz) targets.push({ name, fuzz, seeds: [...seeds.map(bytesOf), ...storedSeeds(name)] });
  }
  return targets;
}

const bytesOf = (seed: Uint8Array | string): Uint8Array =>
  typeof seed === "string" ? new TextEncoder().encode(seed) : seed;

function storedSeeds(name: string): Uint8Array[] {
  const folder = join(tests, "fixtures/fuzz", name);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file !== "README.md")
    .map((file) => new Uint8Array(readFileSync(join(folder, file))));
}

/** 32 bits a call, the same after the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x20, 0x24, 0x22, 0x7b, 0x3c];

/** A seed with a few bytes changed, cut, repeated or joined with another; or noise. */
export function mutate(seeds: readonly Uint8Array[], random: () => number): Uint8Array {
  const pick = (): Uint8Array => seeds[random() % seeds.length] ?? new Uint8Array(0);
  if (seeds.length === 0 || random() % 16 === 0) {
    return Uint8Array.from({ length: random() % 256 }, () => random() & 0xff);
  }
  let bytes: Uint8Array = pick().slice();
  for (let change = random() % 6; change >= 0 && bytes.length > 0; change--) {
    const at = random() % bytes.length;
    switch (random() % 6) {
      case 0:
        bytes[at] = random() & 0xff;
        break;
      case 1:
        bytes[at] = interesting[random() % interesting.length]!;
        break;
      case 2:
        bytes[at] = bytes[at]! ^ (1 << (random() % 8));
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4:
        bytes = joined(bytes.subarray(0, at), bytes.subarray(random() % bytes.length));
        break;
      default:
        bytes = joined(bytes.subarray(0, at), pick().subarray(0, random() % 512));
    }
  }
  return bytes;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.min(a.length + b.length, 65_536));
  bytes.set(a.subarray(0, bytes.length));
  bytes.set(b.subarray(0, bytes.length - Math.min(a.length, bytes.length)), Math.min(a.length, bytes.length));
  return bytes;
}
