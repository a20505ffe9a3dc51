// One thread of the proof of work: tries nonces of one puzzle until it is solved, or until it is told another one. Pure JavaScript: the page's policy
// allows no WebAssembly.
import { scrypt } from "../../vendor/noble-hashes-2.4.0/scrypt.js";

const REPORT_MS = 250;
const channel = new MessageChannel();
let task = null;

self.onmessage = ({ data }) => {
  if (data.kind === "measure") self.postMessage({ kind: "speed", hashesPerSecond: measure(data.params, data.milliseconds) });
  else if (data.kind === "solve") start(data);
  else task = null;
};
// A turn belongs to the task that asked for it; that of an earlier one does nothing.
channel.port1.onmessage = ({ data }) => { if (task && data === task.number) step(); };
let tasks = 0;

function measure(params, milliseconds) {
  const password = new Uint8Array(25);
  const salt = new Uint8Array(21);
  const begin = performance.now();
  let count = 0;
  do {
    password[24] = count & 255;
    scrypt(password, salt, params);
    count += 1;
  } while (performance.now() - begin < milliseconds);
  return (count * 1000) / (performance.now() - begin);
}

function start({ params, bits, id, address, puzzle, firstNonce }) {
  const password = new Uint8Array(25);
  password.set(id, 0);
  password[16] = puzzle;
  const salt = new Uint8Array(21);
  salt.set(address, 0);
  salt[20] = puzzle;
  tasks += 1;
  task = { number: tasks, params, bits, password, salt, puzzle, nonce: firstNonce, view: new DataView(password.buffer), hashes: 0, reported: performance.now() };
  step();
}

// One hash, then a turn of the event loop, so that a message of the page is heard: a hash takes ten milliseconds or more, a turn none.
function step() {
  if (!task) return;
  task.view.setUint32(17, Math.floor(task.nonce / 2 ** 32));
  task.view.setUint32(21, task.nonce >>> 0);
  const hash = scrypt(task.password, task.salt, task.params);
  task.hashes += 1;
  if (leadingZeros(hash) >= task.bits) {
    const { puzzle, nonce, hashes } = task;
    task = null;
    self.postMessage({ kind: "solved", puzzle, nonce, hashes });
    return;
  }
  task.nonce += 1;
  const now = performance.now();
  if (now - task.reported >= REPORT_MS) {
    self.postMessage({ kind: "hashes", hashes: task.hashes });
    task.hashes = 0;
    task.reported = now;
  }
  channel.port2.postMessage(task.number);
}

function leadingZeros(hash) {
  let bits = 0;
  for (const byte of hash) {
    if (byte !== 0) return bits + Math.clz32(byte) - 24;
    bits += 8;
  }
  return bits;
}
