// The claim form: takes an address from a wallet, solves the proof of work, claims, and goes to the claim's page. Without this script the form posts.
import { say } from "../said.js";
import { Solver, bytesOf } from "./solver.js";
import { addNetwork, requestAddress, walletEntry, watchWallets } from "../wallet.js";

const API = "/api/v1/faucet";
const LONG_S = 60;
const TRIES = 8; // With what the server says of how long to wait: some minutes.
const TRY_AGAIN_MS = 1000;
const WAIT_MAX_S = 60; // A refusal that lasts longer is told, not waited for.
const PROOF_LIFE_MS = 9 * 60 * 1000; // The server takes a proof for ten minutes.

const byId = (id) => document.getElementById(id);
const form = byId("claim-form");
const field = byId("address");
const button = byId("claim-button");
const label = button.querySelector("span");
const work = byId("work");
const words = label.textContent;
let solver = null;
let chosen = null;
let run = 0;
let solved = null; // { address, body, key, until }: a proof is kept until its claim is accepted, refused for good, or too old.

byId("without-script")?.remove();
form.addEventListener("submit", (event) => {
  event.preventDefault();
  claim();
});
byId("work-cancel").addEventListener("click", () => {
  stop();
  say("Cancelled");
  button.focus();
});
window.addEventListener("pagehide", () => stop());
watchWallets(showWallet);

async function claim() {
  if (solver || button.getAttribute("aria-busy") === "true") return;
  hideProblem();
  const address = field.value.trim();
  if (!/^(0x)?[0-9a-fA-F]{40}$/.test(address)) {
    showProblem({ title: "That is no address.", detail: "An address is 0x and 40 hexadecimal digits." }, true);
    return;
  }
  run += 1;
  const mine = run;
  busy("Asking…");
  try {
    const voucher = byId("voucher").value.trim();
    const what = `${address} ${voucher}`;
    if (solved?.what !== what || Date.now() > solved.until) {
      const body = voucher || form.dataset.needsWork === "no" ? { address, ...(voucher && { voucher }) } : await proof(address, mine);
      if (body === null || mine !== run) return;
      solved = { what, body, key: randomKey(), until: Date.now() + PROOF_LIFE_MS };
    }
    const { body, key } = solved;
    const claimed = await send("/claims", body, { "idempotency-key": key }, mine, () => busy("Claiming…"));
    if (claimed === null) return;
    solved = null;
    location.assign(`/claims/${claimed.id}`);
  } catch (error) {
    if (mine !== run) return;
    stop();
    if (error.claim) {
      // It was redeemed before, by a send whose answer was lost: its page says how far it is.
      solved = null;
      location.assign(error.claim);
      return;
    }
    if (error.problem && !isPassing(error.problem)) solved = null;
    showProblem(error.problem ?? { title: "That did not work.", detail: error.message }, error.problem?.status === 422 || error.problem?.status === 400);
  }
}

// The body of a claim with its proof; null when somebody cancelled.
async function proof(address, mine) {
  const challenge = await send("/challenges", { address }, {}, mine, () => busy("Asking…"));
  if (challenge === null || mine !== run) return null;
  busy("Working…");
  showWork(challenge.params.k);
  solver = new Solver();
  const { N, r, p, dkLen, k, bits, expected_hashes: expected } = challenge.params;
  const scryptParams = { N, r, p, dkLen };
  const speed = await solver.measure(scryptParams);
  if (mine !== run) return null;
  const seconds = expected / speed;
  const threads = solver.workers.length;
  byId("work-estimate").textContent = `Eight small puzzles instead of a captcha: about ${length(seconds)} on this device, with ${threads} ${threads === 1 ? "thread" : "threads"}. You can use other tabs meanwhile.`;
  byId("work-speed").textContent = `${Math.round(speed)} hashes/s`;
  if (seconds > LONG_S && !(await confirmLong(seconds, mine))) return null;
  let before = 0;
  const nonces = await solver.solve(
    { params: { ...scryptParams, k, bits }, id: bytesOf(challenge.id), address: bytesOf(challenge.address) },
    (progress) => { before = showProgress(progress, before); },
  );
  if (mine !== run) return null;
  solver.close();
  solver = null;
  return { challenge: challenge.challenge, nonces };
}

function confirmLong(seconds, mine) {
  const start = byId("work-start");
  byId("work-estimate").textContent = `This takes about ${length(seconds)} on this device, and a good part of its battery. The faucet is in demand now, or the device is slow.`;
  start.hidden = false;
  start.focus();
  return new Promise((resolve) => {
    start.addEventListener("click", () => {
      start.hidden = true;
      byId("work-cancel").focus();
      resolve(mine === run);
    }, { once: true });
  });
}

// Sends until there is an answer that holds; null when somebody cancelled meanwhile. The same key each time: a claim that did arrive is not made twice.
async function send(path, body, headers, mine, begin) {
  for (let attempt = 1; ; attempt += 1) {
    begin();
    const { answer, document } = await ask(path, body, headers);
    if (mine !== run) return null;
    if (answer?.ok && document) return document;
    const claim = answer?.status === 409 && claimOf(answer.headers.get("location"));
    if (claim) throw Object.assign(new Error("used before"), { claim });
    const wait = answer === null || document === null ? attempt * TRY_AGAIN_MS / 1000 : isPassing(document) ? document.retry_after ?? attempt : Infinity;
    if (attempt >= TRIES || wait > WAIT_MAX_S) {
      if (!document) throw new Error(`The faucet does not answer${solved ? ". Your work is kept for ten minutes: press the button again" : " now. Try again in a minute"}.`);
      throw Object.assign(new Error(document.detail), { problem: document });
    }
    busy(`Waiting ${length(wait)}…`);
    await new Promise((resolve) => { setTimeout(resolve, wait * 1000); });
    if (mine !== run) return null;
  }
}

// One try: no answer, and an answer of something in between that is no JSON, are the same to us.
async function ask(path, body, headers) {
  try {
    const answer = await fetch(API + path, {
      method: "POST", credentials: "omit", body: JSON.stringify(body),
      headers: { "content-type": "application/json", accept: "application/json", ...headers },
    });
    const isJSON = /\bjson\b/.test(answer.headers.get("content-type") ?? "");
    return { answer, document: isJSON ? await answer.json() : null };
  } catch {
    return { answer: null, document: null };
  }
}

// What the faucet refuses only for now, whoever asks.
function isPassing({ code }) {
  return ["busy", "unavailable", "rate_limited", "budget_limit", "paused", "empty"].includes(code);
}

function claimOf(location) {
  const id = /\/claims\/([0-9a-f]{32})$/.exec(location ?? "")?.[1];
  return id && `/claims/${id}`;
}

function showWork(puzzles) {
  byId("work-puzzles").replaceChildren(...Array.from({ length: puzzles }, () => document.createElement("li")));
  byId("work-estimate").textContent = "Measuring how fast this device is…";
  byId("work-progress").textContent = "";
  byId("work-speed").textContent = "";
  byId("work-start").hidden = true;
  work.hidden = false;
  byId("work-cancel").focus({ preventScroll: true });
  work.scrollIntoView({ block: "nearest" });
}

function showProgress({ solved, busy: working, hashes, seconds }, before) {
  const done = solved.filter(Boolean).length;
  [...byId("work-puzzles").children].forEach((place, puzzle) => {
    place.className = solved[puzzle] ? "solved" : working.has(puzzle) ? "busy" : "";
  });
  if (done !== before || !byId("work-progress").textContent) byId("work-progress").textContent = `${done} of ${solved.length} solved`;
  if (seconds > 0.5) byId("work-speed").textContent = `${length(seconds)} · ${hashes} hashes · ${Math.round(hashes / seconds)}/s`;
  return done;
}

function showWallet({ name, icon, provider }) {
  const entry = walletEntry({ name, icon }, async () => {
    chosen = provider;
    try {
      field.value = await requestAddress(provider);
      hideProblem();
      button.focus();
      say("The address is filled in");
    } catch (error) {
      showProblem({ title: "The wallet gave no address.", detail: error?.code === 4001 ? "You declined, or it is locked." : String(error?.message ?? "").slice(0, 200) });
    }
  });
  byId("wallets").querySelector("ul").append(entry);
  byId("wallets").hidden = false;
  offerNetwork(provider);
}

function offerNetwork(provider) {
  const add = byId("add-network");
  if (!add) return;
  chosen ??= provider;
  if (!add.hidden) return;
  add.hidden = false;
  add.addEventListener("click", async () => {
    const said = byId("add-network-said");
    said.textContent = "Ask your wallet…";
    try {
      await addNetwork(chosen);
      said.textContent = "Your wallet knows the network now.";
    } catch (error) {
      said.textContent = error?.code === 4001 ? "You declined in the wallet." : `The wallet said: ${String(error?.message ?? "no").slice(0, 200)}`;
    }
  });
}

function stop() {
  run += 1;
  solver?.close();
  solver = null;
  work.hidden = true;
  label.textContent = words;
  button.removeAttribute("aria-busy");
  button.disabled = false;
}

function busy(text) {
  label.textContent = text;
  button.setAttribute("aria-busy", "true");
}

function showProblem({ title, detail, retry_after: retryAfter }, ofField = false) {
  byId("problem-title").textContent = /[.!?]$/.test(title) ? title : `${title}.`;
  const when = retryAfter ? ` You can claim again at ${clock(retryAfter)}.` : "";
  byId("problem-detail").textContent = `${detail}${/[.!?]$/.test(detail) ? "" : "."}${when}`;
  byId("problem").hidden = false;
  if (ofField) {
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", "address-help problem");
  }
  byId("problem").focus();
}

function hideProblem() {
  byId("problem").hidden = true;
  field.removeAttribute("aria-invalid");
  field.setAttribute("aria-describedby", "address-help");
}

function clock(afterSeconds) {
  const at = new Date(Date.now() + afterSeconds * 1000);
  const options = afterSeconds > 20 * 3600 ? { weekday: "short", hour: "2-digit", minute: "2-digit", hour12: false } : { hour: "2-digit", minute: "2-digit", hour12: false, ...(afterSeconds < 120 && { second: "2-digit" }) };
  return at.toLocaleTimeString(undefined, options);
}

function length(seconds) {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 90) return `${Math.round(seconds / 5) * 5} s`;
  return `${Math.round(seconds / 60)} min`;
}

// Over plain HTTP there is no crypto.randomUUID.
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
