import { getBytes, scryptSync } from "ethers";

/** Longest turn of the event loop while a page solves puzzles. */
const TURN_MS = 30;

/**
 * Solve a faucet's challenge: for each puzzle the first nonce whose scrypt hash begins with enough zero bits. Node computes natively and on several
 * threads; elsewhere it is JavaScript, in turns, so that a page lives on. `signal` ends it.
 */
export async function solve(challenge, { signal, onProgress } = {}) {
  const { N, r, p, dkLen, k, bits, alg } = challenge.params;
  if (alg !== "scrypt") throw new TypeError(`challenge: expected scrypt, found ${JSON.stringify(alg)}`);
  if (!(k >= 1 && k <= 64 && bits >= 0 && bits <= 32 && N * r <= 1 << 20)) {
    throw new RangeError(`challenge: found parameters that no faucet asks: ${JSON.stringify(challenge.params)}`);
  }
  const id = bytes(challenge.id, 16, "id");
  const address = bytes(challenge.address.replace(/^0x/, ""), 20, "address");
  const native = await nativeScrypt();
  let tried = 0;
  const one = async (puzzle) => {
    const password = new Uint8Array(25);
    password.set(id);
    password[16] = puzzle;
    const salt = new Uint8Array([...address, puzzle]);
    const view = new DataView(password.buffer);
    let turnEnds = Date.now() + TURN_MS;
    for (let nonce = 0; ; nonce += 1) {
      signal?.throwIfAborted();
      view.setBigUint64(17, BigInt(nonce));
      const hash = native
        ? await native(password.slice(), salt, dkLen, { N, r, p, maxmem: 256 * N * r })
        : getBytes(scryptSync(password, salt, N, r, p, dkLen));
      tried += 1;
      onProgress?.({ tried, expected: k * 2 ** bits });
      if (leadingZeros(hash) >= bits) return nonce;
      if (!native && Date.now() > turnEnds) {
        await new Promise((resolve) => setTimeout(resolve, 0));
        turnEnds = Date.now() + TURN_MS;
      }
    }
  };
  return Promise.all(Array.from({ length: k }, (_, puzzle) => one(puzzle)));
}

/** Node's own scrypt as a promise; null where there is none. */
async function nativeScrypt() {
  if (typeof process === "undefined" || !process.versions?.node) return null;
  const [{ scrypt }, { promisify }] = await Promise.all([import("node:crypto"), import("node:util")]);
  return promisify(scrypt);
}

function leadingZeros(hash) {
  let bits = 0;
  for (const byte of hash) {
    if (byte !== 0) return bits + Math.clz32(byte) - 24;
    bits += 8;
  }
  return bits;
}

function bytes(text, size, name) {
  if (!new RegExp(`^[0-9a-fA-F]{${2 * size}}$`).test(text)) {
    throw new TypeError(`challenge: ${name}: expected ${size} bytes in hexadecimal, found ${JSON.stringify(text)}`);
  }
  return Uint8Array.from(text.match(/../g), (pair) => Number.parseInt(pair, 16));
}
