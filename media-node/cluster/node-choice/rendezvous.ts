/** FNV-1a over UTF-16 units, then mixed: cheap, the same in every JavaScript engine, not for secrets. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/**
 * Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): the node with the highest score keeps the key. When a
 * node leaves only its keys move, and a node of twice the weight gets twice the keys.
 * @param weight above 0
 */
export function rendezvousScore(keyHash: number, nodeHash: number, weight: number): number {
  const uniform = ((mix(keyHash ^ nodeHash) >>> 0) + 0.5) / 2 ** 32;
  return weight / -Math.log(uniform);
}

/** MurmurHash3's finalizer: every bit of the input changes half the bits of the output. */
function mix(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
