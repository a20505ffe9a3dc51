// A proof of work on several threads. Idle ones help with the puzzle that the fewest work on, so that none waits for the last.
const WORKERS_MAX = 4;
const MEASURE_MS = 200;
const NONCES_EACH = 2 ** 44;

export class Solver {
  constructor() {
    const count = Math.min(WORKERS_MAX, navigator.hardwareConcurrency || 2);
    this.workers = Array.from({ length: count }, () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }));
  }

  // Hashes a second of all threads together, while all of them work.
  async measure(params) {
    const speeds = await Promise.all(this.workers.map((worker) => new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data.hashesPerSecond);
      worker.onerror = () => reject(new Error("your browser did not start the threads that compute"));
      worker.postMessage({ kind: "measure", params, milliseconds: MEASURE_MS });
    })));
    return speeds.reduce((sum, speed) => sum + speed, 0);
  }

  // Resolves to the nonces. `onProgress({ solved, busy, hashes, seconds })` hears each puzzle's end and, now and then, how many hashes were made.
  solve({ params, id, address }, onProgress) {
    const { k, bits } = params;
    const nonces = new Array(k).fill(null);
    const at = new Array(this.workers.length).fill(null);
    const begin = performance.now();
    let hashes = 0;
    const tell = () => onProgress({
      solved: nonces.map((nonce) => nonce !== null), busy: new Set(at.filter((puzzle) => puzzle !== null)),
      hashes, seconds: (performance.now() - begin) / 1000,
    });
    const next = () => {
      let best = null;
      let fewest = Infinity;
      for (let puzzle = 0; puzzle < k; puzzle += 1) {
        const working = at.filter((one) => one === puzzle).length;
        if (nonces[puzzle] === null && working < fewest) [best, fewest] = [puzzle, working];
      }
      return best;
    };
    const assign = (index) => {
      at[index] = null;
      const puzzle = next();
      at[index] = puzzle;
      if (puzzle === null) this.workers[index].postMessage({ kind: "rest" });
      else this.workers[index].postMessage({ kind: "solve", params, bits, id, address, puzzle, firstNonce: index * NONCES_EACH });
    };
    return new Promise((resolve, reject) => {
      this.workers.forEach((worker, index) => {
        worker.onerror = () => reject(new Error("a thread that computes has stopped"));
        worker.onmessage = ({ data }) => {
          hashes += data.hashes;
          if (data.kind === "solved") {
            if (nonces[data.puzzle] === null) nonces[data.puzzle] = data.nonce;
            at.forEach((puzzle, other) => { if (puzzle === data.puzzle) assign(other); });
            if (nonces.every((nonce) => nonce !== null)) resolve(nonces);
          }
          tell();
        };
        assign(index);
      });
      tell();
    });
  }

  close() {
    for (const worker of this.workers) worker.terminate();
  }
}

export function bytesOf(hex) {
  const digits = hex.startsWith("0x") ? hex.slice(2) : hex;
  return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
}
