// Writing to a contract: a form's call is encoded by this site, shown to a wallet of this browser, which asks, signs and sends; then it is followed.
import { watchWallets, requestAddress, useNetwork, walletEntry } from "./wallet.js";

const FOLLOW_MS = 1000;
const FOLLOW_TRIES = 90;
const DECLINED = 4001;

const byId = (id) => document.getElementById(id);
const writer = byId("writer");
const said = byId("wallet-said");
let chosen = null;
let isBusy = false;

watchWallets(showWallet);
setTimeout(() => {
  if (!chosen) said.textContent = "No wallet was found in this browser. A form below makes the data of its call, to be sent by another program.";
}, 1000);

for (const form of document.querySelectorAll("form[data-write]")) {
  form.addEventListener("submit", (event) => {
    if (!chosen) return;
    event.preventDefault();
    if (!isBusy) send(form);
  });
}

function showWallet({ name, icon, provider }) {
  byId("wallets").querySelector("ul").append(walletEntry({ name, icon }, () => take({ name, provider })));
  byId("wallets").hidden = false;
  if (!chosen) take({ name, provider });
}

function take(wallet) {
  chosen = wallet;
  said.textContent = `Calls go to ${wallet.name}, which asks before it sends.`;
  for (const button of document.querySelectorAll("form[data-write] button")) button.textContent = "Write";
}

async function send(form) {
  isBusy = true;
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  try {
    const call = await prepared(form);
    show("pending", "Asking your wallet.", "It shows what will be sent.");
    const from = await requestAddress(chosen.provider);
    await useNetwork(chosen.provider, Number(writer.dataset.chainId));
    const transaction = { from, to: call.to, data: call.data, value: `0x${BigInt(call.value_wei).toString(16)}` };
    const hash = await chosen.provider.request({ method: "eth_sendTransaction", params: [transaction] });
    if (typeof hash !== "string" || !/^0x[0-9a-fA-F]{64}$/.test(hash)) throw new Error("the wallet gave no hash");
    show("pending", "Sent.", "Waiting for its block…", hash);
    await follow(hash);
  } catch (error) {
    if (error?.code === DECLINED) show("warn", "Nothing was sent.", "You declined in the wallet.");
    else show("crit", "That did not work.", String(error?.message ?? error).slice(0, 300));
  } finally {
    isBusy = false;
    button.removeAttribute("aria-busy");
  }
}

async function prepared(form) {
  const answer = await fetch(`${form.dataset.write}?${new URLSearchParams(new FormData(form))}`, { credentials: "omit" });
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.detail);
  if (document.call.error) throw new Error(document.call.error);
  return document.call;
}

async function follow(hash) {
  for (let tried = 0; tried < FOLLOW_TRIES; tried += 1) {
    await new Promise((resolve) => { setTimeout(resolve, FOLLOW_MS); });
    const answer = await fetch(`/tx/${hash}.json`, { credentials: "omit" }).catch(() => null);
    const found = answer?.ok ? await answer.json() : null;
    if (found?.block) {
      const number = found.transaction.number.toLocaleString();
      if (found.transaction.succeeded) show("ok", "Done.", `It is final, in block ${number}.`, hash);
      else show("crit", "Reverted.", `${found.revert?.sentence ?? "It failed"}, in block ${number}.`, hash);
      return;
    }
  }
  show("warn", "Still waiting.", "No block has taken it yet; its page will say when one does.", hash);
}

function show(tone, title, detail, hash = "") {
  const outcome = byId("outcome");
  outcome.className = `note ${tone}`;
  byId("outcome-title").textContent = title;
  byId("outcome-detail").textContent = detail;
  const link = byId("outcome-link");
  link.hidden = !hash;
  if (hash) {
    link.href = `/tx/${hash}`;
    link.textContent = `${hash.slice(0, 10)}…${hash.slice(-4)}`;
  }
  const wasHidden = outcome.hidden;
  outcome.hidden = false;
  if (wasHidden) outcome.focus({ preventScroll: true });
}
