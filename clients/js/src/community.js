import { JsonService } from "./http.js";

/** Of one page; the service says 422 above. */
const PAGE_ITEMS_MAX = 100;

/** The community API of a network (port 9545): `new CommunityClient("http://127.0.0.1:9545")`. */
export class CommunityClient extends JsonService {
  constructor(url = "http://127.0.0.1:9545", options = {}) {
    super(url, options);
  }

  /** Any resource below /api/v1, such as "/validators". */
  get(path, query, options) {
    return this.ask("GET", `/api/v1${path}`, { query, ...options });
  }

  /** A resource below /api/v1 that takes a document. */
  post(path, body, options) {
    return this.ask("POST", `/api/v1${path}`, { body, ...options });
  }

  network() {
    return this.get("/network");
  }

  /** The verdict on the network's health, with its reasons. */
  networkStatus() {
    return this.get("/network/status");
  }

  /** By number, hash or "latest". */
  block(id = "latest") {
    return this.get(`/blocks/${encodeURIComponent(String(id))}`);
  }

  transaction(hash) {
    return this.get(`/transactions/${encodeURIComponent(hash)}`);
  }

  address(address) {
    return this.get(`/addresses/${encodeURIComponent(String(address).toLowerCase())}`);
  }

  /**
   * What a reading function of a contract answers now: `succeeded`, `values` with `name`, `type` and `value`, and `error` where there are none.
   * The function by its name, its signature or its selector. Nothing is sent, and no key is needed.
   */
  callContract(address, name, args = [], options) {
    return this.post(`${contractPath(address)}/call`, { function: name, arguments: args }, options);
  }

  /** A call of any function of a contract as `to` and `data` of a transaction, for a wallet to sign and send. */
  encodeCall(address, name, args = [], options) {
    return this.post(`${contractPath(address)}/encode`, { function: name, arguments: args }, options);
  }

  validators() {
    return this.get("/validators");
  }

  search(text) {
    return this.get("/search", { q: text });
  }

  /** Every item of a list, page after page as it is read: `for await (const block of api.items("/blocks"))`. */
  async *items(path, query = {}, { pageItems = PAGE_ITEMS_MAX, signal } = {}) {
    let cursor;
    const seen = new Set();
    do {
      const page = await this.get(path, { ...query, limit: pageItems, cursor }, { signal });
      yield* page.items;
      cursor = page.next ?? page.next_cursor ?? null;
      if (seen.has(cursor)) throw new Error(`${path}: the cursor ${cursor} came twice`);
      seen.add(cursor);
    } while (cursor !== null);
  }

  /** Events as the server sends them, until `signal` or the server ends it: `for await (const { event, data } of api.events())`. */
  async *events({ query, signal } = {}) {
    const url = this.url("/api/v1/events", query);
    const response = await this.open("GET", url, { headers: { accept: "text/event-stream" }, signal, timeoutMs: 0 });
    yield* parseEvents(response.body);
  }
}

function contractPath(address) {
  return `/contracts/${encodeURIComponent(String(address).toLowerCase())}`;
}

/** Longest event that is kept while its end has not come. */
const EVENT_CHARACTERS_MAX = 1024 * 1024;

/** Server-sent events of a stream of bytes; data that is JSON is parsed. */
export async function* parseEvents(stream) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    rest += text;
    // A line end may have been cut in two; the second half comes with the next text.
    const blocks = rest.split(/\r\n\r\n|\n\n|\r\r(?!\n)/);
    rest = blocks.pop();
    if (rest.length > EVENT_CHARACTERS_MAX) throw new Error(`an event of more than ${EVENT_CHARACTERS_MAX} characters`);
    for (const block of blocks) {
      const event = parseEvent(block);
      if (event !== null) yield event;
    }
  }
}

function parseEvent(block) {
  const fields = { event: "message", data: [], id: null };
  for (const line of block.split(/\r\n|\n|\r/)) {
    const [, name, value] = /^([^:]*):? ?([^]*)$/.exec(line);
    if (name === "event") fields.event = value;
    if (name === "id") fields.id = value;
    if (name === "data") fields.data.push(value);
  }
  if (fields.data.length === 0) return null;
  const text = fields.data.join("\n");
  let data = text;
  try {
    data = JSON.parse(text);
  } catch {
    // Plain text is data too.
  }
  return { event: fields.event, id: fields.id, data };
}
