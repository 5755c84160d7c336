import { createRequire } from "node:module";

const requireHere = createRequire(import.meta.url);

/**
 * A package of this folder, which has a lock of its own so that `npm start` need not install it.
 * @throws Error with the remedy when the folder's packages are not installed
 */
export function loadValidator(name: string): unknown {
  try {
    return requireHere(name);
  } catch (cause) {
    throw new Error(`There is no ${name}: npm ci --prefix infra/validators --ignore-scripts (npm test does it).`, {
      cause,
    });
  }
}
