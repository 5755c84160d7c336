import { createRequire } from "node:module";

/** Where the packages are. */
export const validatorsFolder = import.meta.dirname;

const requireHere = createRequire(import.meta.url);

/**
 * A package of this folder, which has a lock of its own so that `npm start` need not install it.
 * @throws Error with the remedy when the folder's packages are not installed
 */
export function loadValidator(name: string): unknown {
  try {
    return requireHere(name);
  } catch (cause) {
    throw missing(name, cause);
  }
}

/** The same for a package that can only be imported. */
export async function importValidator(name: string): Promise<unknown> {
  try {
    return await import(name);
  } catch (cause) {
    throw missing(name, cause);
  }
}

const missing = (name: string, cause: unknown): Error =>
  new Error(`There is no ${name}: npm ci --prefix infra/validators --ignore-scripts (npm test does it).`, { cause });
