// A claim's page while the claim is under way: asks how far it is, once a second and slower with time, and shows it without loading the page again.
import { reveal } from "../copy.js";

const FIRST_MS = 700;
const SLOWER = 1.2;
const SLOWEST_MS = 10000;
const STEPS = ["queued", "signed", "sent", "final"];
const byId = (id) => document.getElementById(id);
const place = byId("claimed");
if (place) watch();

async function watch() {
  let wait = FIRST_MS;
  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, wait); });
    wait = Math.min(SLOWEST_MS, wait * SLOWER);
    if (document.hidden) continue;
    let claim;
    try {
      const answer = await fetch(`/api/v1/faucet/claims/${place.dataset.claim}`, { headers: { accept: "application/json" } });
      if (!answer.ok) continue;
      claim = await answer.json();
    } catch {
      continue; // The next answer says more.
    }
    if (claim.state !== place.dataset.state) {
      wait = FIRST_MS;
      place.dataset.state = claim.state;
      show(claim);
    }
    if (claim.is_over) return;
  }
}

function show(claim) {
  const reached = STEPS.indexOf(claim.state);
  for (const step of place.querySelectorAll(".steps li")) {
    const index = STEPS.indexOf(step.dataset.step);
    step.className = index < reached || (index === reached && claim.is_over) ? "done" : index === reached ? "now" : "next";
    if (index === reached && !claim.is_over) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
  if (claim.transaction_hash) showTransaction(claim.transaction_hash);
  // The words and icons of an end are the page's own.
  const verdict = place.querySelector(`template[data-verdict="${CSS.escape(claim.state)}"]`);
  if (!verdict) return;
  byId("verdict").replaceChildren(verdict.content.cloneNode(true));
  if (claim.error) byId("claim-error").textContent = claim.error;
  if (claim.state === "final") {
    byId("took").textContent = `${((claim.settled_ms - claim.requested_ms) / 1000).toFixed(1)} s`;
    byId("took-row").hidden = false;
  }
}

function showTransaction(hash) {
  const code = document.createElement("code");
  code.textContent = hash;
  let shown = code;
  if (place.dataset.explorer) {
    shown = document.createElement("a");
    shown.href = `${place.dataset.explorer}/tx/${hash}`;
    shown.append(code);
  }
  const copy = byId("transaction-row").querySelector(".copy-template")?.content.firstElementChild.cloneNode(true);
  if (copy) copy.dataset.copy = hash;
  byId("transaction").replaceChildren(shown, ...(copy ? [copy] : []));
  byId("transaction-row").hidden = false;
  reveal(byId("transaction-row"));
}
