// Live parts: <… data-live="TOPIC" data-part="NAME"> shows the newest fragment of that name that the server sends for the topic.
//
// One EventSource serves all tabs of a browser, for a browser opens six connections to a host at most: the tab that holds a lock reads it and tells
// the others by a channel. Only visible tabs ask for the lock, so a browser that nobody looks at has no stream open. Where there are no locks (plain
// HTTP to another machine) each visible tab has its own. When the server takes no more streams, the page is asked for every five seconds,
// and a stream is tried again after a while.
//
// A page stops all of it by its pause button: <div class="live" data-live-control>.
import { reveal } from "./copy.js";
import { showTimes } from "./times.js";
import { say } from "./said.js";

const CHANNEL = "metanode-live";
const POLL_MS = 5000;
const AWAY_AFTER_MS = 40000; // Twenty blocks without a word: say so.
const AGAIN_MS = 30000; // After a stream was refused it is tried again, and so long more by chance: a thousand pages don't come back at once.
const listeners = new Map(); // topic to functions of its data
let paused = false;
let lastHeard = Date.now();
const away = new Map(); // topic to why the server can't tell of it now; "" is the connection, and this page as a whole
let showState = () => {};

// Calls a function with the data of every event of a topic, also for pages with scripts of their own.
export function listen(topic, action) {
  if (!listeners.has(topic)) listeners.set(topic, []);
  listeners.get(topic).push(action);
}

export function isPaused() {
  return paused;
}

export function startLive() {
  const topics = new Set([...document.querySelectorAll("[data-live]")].map((element) => element.dataset.live));
  const connection = new Connection([...topics]);
  const controls = document.querySelectorAll("[data-live-control]");
  showState = show;
  for (const control of controls) {
    control.hidden = false;
    control.querySelector("button").addEventListener("click", () => {
      paused = !paused;
      if (paused) connection.leave();
      else connection.join(true);
      say(paused ? "Live updates are paused" : "Live updates go on");
      showState();
    });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) connection.leave();
    else if (!paused) connection.join(true);
  });
  setInterval(show, 2000);
  if (!document.hidden) connection.join(false);
  show();

  function show() {
    const [reason] = away.values();
    const state = paused ? "paused" : reason !== undefined || Date.now() - lastHeard > AWAY_AFTER_MS ? "away" : "live";
    const words = { live: "Live", paused: "Paused", away: reason ? `Not live: ${reason}` : "No news" };
    for (const control of controls) {
      control.dataset.state = state;
      control.querySelector("[data-live-word]").textContent = words[state];
      const button = control.querySelector("button");
      button.querySelector("span").textContent = paused ? "Go on" : "Pause";
      button.setAttribute("aria-pressed", String(paused));
    }
  }
}

class Connection {
  constructor(topics) {
    this.topics = topics;
    this.wanted = new Set(topics); // by all tabs, when this one leads
    this.channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(CHANNEL);
    this.channel?.addEventListener("message", ({ data }) => this.hear(data));
    this.source = null;
    this.release = null;
    this.joined = false;
    this.timer = 0; // Asks for the page while there is no stream.
    this.again = 0; // Tries a stream once more.
  }

  // Begins to listen; `again` when the page may have missed something.
  join(again) {
    if (this.joined) return;
    this.joined = true;
    lastHeard = Date.now();
    if (again) refresh();
    if (!navigator.locks || !this.channel) {
      this.open();
      return;
    }
    const giveUp = new AbortController();
    this.release = () => giveUp.abort();
    this.channel.postMessage({ kind: "want", topics: this.topics });
    navigator.locks.request(CHANNEL, { signal: giveUp.signal }, () => new Promise((resolve) => {
      // This tab leads now: it reads for all until it leaves.
      this.release = resolve;
      this.open();
      this.channel.postMessage({ kind: "who" });
    })).catch(() => {}); // Left before it led.
  }

  leave() {
    this.joined = false;
    this.source?.close();
    this.source = null;
    this.stopPolling();
    clearTimeout(this.again);
    this.again = 0;
    this.release?.();
    this.release = null;
  }

  hear(message) {
    if (!this.joined) return;
    if (message.kind === "event") take(message.topic, message.data);
    else if (message.kind === "who") this.channel.postMessage({ kind: "want", topics: this.topics });
    else if (message.kind === "poll") this.poll();
    else if (message.kind === "open") this.stopPolling();
    else if (message.kind === "want" && this.source) {
      const before = this.wanted.size;
      for (const topic of message.topics) this.wanted.add(topic);
      if (this.wanted.size > before) this.open();
    }
  }

  open() {
    this.source?.close();
    clearTimeout(this.again);
    this.again = 0;
    const topics = [...this.wanted];
    this.source = new EventSource(`/live?topics=${topics.map(encodeURIComponent).join(",")}`);
    for (const topic of [...topics, "resync", "away"]) {
      this.source.addEventListener(topic, (event) => {
        const data = JSON.parse(event.data);
        take(topic, data);
        this.channel?.postMessage({ kind: "event", topic, data });
      });
    }
    this.source.addEventListener("open", () => {
      lastHeard = Date.now();
      if (away.delete("")) {
        showState();
        this.channel?.postMessage({ kind: "event", topic: "back", data: {} });
      }
      if (!this.timer) return;
      this.stopPolling();
      this.channel?.postMessage({ kind: "open" });
      refresh(); // A block since the last question has no other to come after it while the chain stands still.
    });
    this.source.addEventListener("error", () => {
      const lost = { topic: "", reason: "the server does not answer" };
      take("away", lost);
      this.channel?.postMessage({ kind: "event", topic: "away", data: lost });
      // Closed for good: the server takes no more, so ask as pages did before streams. Otherwise the browser connects again by itself.
      if (this.source?.readyState === EventSource.CLOSED) {
        this.poll();
        this.channel?.postMessage({ kind: "poll" });
        this.again = setTimeout(() => this.open(), AGAIN_MS * (1 + Math.random()));
      }
    });
  }

  poll() {
    if (!this.timer && this.joined) this.timer = setInterval(() => refresh(), POLL_MS);
  }

  stopPolling() {
    clearInterval(this.timer);
    this.timer = 0;
  }
}

function take(topic, data) {
  if (paused) return;
  if (topic === "away") {
    // What is shown is not live any more. Topics of other tabs are their matter.
    if (data.topic && !document.querySelector(`[data-live="${CSS.escape(data.topic)}"]`)) return;
    if (!away.has(data.topic)) say(`Not live: ${data.reason}`);
    away.set(data.topic, data.reason);
    showState();
    return;
  }
  lastHeard = Date.now();
  if (topic === "back") away.delete("");
  else if (topic === "resync") refresh();
  if (away.delete(topic) || topic === "back") showState();
  for (const element of document.querySelectorAll(`[data-live="${CSS.escape(topic)}"]`)) {
    const fragment = data.parts?.[element.dataset.part];
    if (fragment !== undefined) put(element, fragment);
  }
  for (const action of listeners.get(topic) ?? []) action(data);
}

// Asks for this page again and takes its live parts, as they are now; gives the page, or null where it did not come, or its address is another one by then.
export async function refresh() {
  const asked = pageAsked();
  try {
    const answer = await fetch(location.href, { cache: "no-cache", headers: { accept: "text/html" } });
    if (pageAsked() !== asked) return null;
    if (!answer.ok) {
      take("away", { topic: "", reason: "the page can't be made now" });
      return null;
    }
    lastHeard = Date.now();
    away.clear();
    showState();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (pageAsked() !== asked) return null;
    for (const element of document.querySelectorAll("[data-live][data-part]")) {
      const selector = `[data-live="${CSS.escape(element.dataset.live)}"][data-part="${CSS.escape(element.dataset.part)}"]`;
      const found = page.querySelector(selector);
      if (found) put(element, found.innerHTML);
    }
    // Whoever hears of a topic hears of this page too: it is newer than the last event.
    for (const actions of listeners.values()) for (const action of actions) action(null);
    return page;
  } catch {
    take("away", { topic: "", reason: "the server does not answer" }); // What is shown stays.
    return null;
  }
}

function pageAsked() {
  return location.pathname + location.search;
}

// Puts a fragment in. Who is in it with the keyboard, presses something or marks text there is not disturbed: it waits for the next one.
function put(element, html) {
  if (element.contains(document.activeElement) && document.activeElement !== element) return;
  const marked = getSelection();
  if (element.matches(":active") || (marked && !marked.isCollapsed && element.contains(marked.anchorNode))) return;
  const before = new Set([...element.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
  const filled = before.size > 0;
  element.innerHTML = html;
  if (filled) {
    for (const row of element.querySelectorAll("[data-key]")) {
      if (!before.has(row.dataset.key)) row.classList.add("fresh");
    }
  }
  reveal(element);
  showTimes(element);
}
