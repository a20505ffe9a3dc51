/** How long a service may take to answer. */
const TIMEOUT_MS = 15_000;
/** Longest answer that is read: pages of lists are far below. */
const ANSWER_CHARACTERS_MAX = 16 * 1024 * 1024;

/** What a service refused, in its words (RFC 9457), or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor({ status, title, detail, code, retryAfterS, problem }) {
    super(detail || title || `the service answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.title = title ?? null;
    this.code = code ?? null;
    this.retryAfterS = retryAfterS ?? null;
    this.problem = problem ?? null;
  }
}

/** A service at a base URL that speaks JSON. */
export class JsonService {
  #base;
  #headers;

  constructor(base, { apiKey } = {}) {
    const url = new URL(base);
    if (url.protocol !== "http:" && url.protocol !== "https:") {
      throw new TypeError(`url: expected http:// or https://, found ${url.protocol}//`);
    }
    this.#base = url.href.replace(/\/+$/, "");
    this.#headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
  }

  get base() {
    return this.#base;
  }

  url(path, query = {}) {
    const url = new URL(this.#base + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) url.searchParams.set(name, String(value));
    }
    return url;
  }

  /** Ask, and return the JSON of the answer. Throws ApiError. */
  async ask(method, path, { query, body, headers, signal } = {}) {
    const response = await this.open(method, this.url(path, query), { body, headers, signal });
    return read(response);
  }

  /** Ask, and return the response once it is known to be good. Throws ApiError. */
  async open(method, url, { body, headers, signal, timeoutMs = TIMEOUT_MS } = {}) {
    const signals = [...(timeoutMs ? [AbortSignal.timeout(timeoutMs)] : []), ...(signal ? [signal] : [])];
    let response;
    try {
      response = await fetch(url, {
        method,
        headers: {
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...this.#headers,
          ...headers,
        },
        body: body === undefined ? undefined : JSON.stringify(body, asText),
        signal: AbortSignal.any(signals),
        redirect: "error",
      });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const reason = error.name === "TimeoutError" ? `no answer in ${timeoutMs / 1000} s` : (error.cause?.message ?? error.message);
      throw new ApiError({ status: 0, title: "unreachable", detail: `${url.origin}: ${reason}` });
    }
    if (response.ok) return response;
    throw await refusal(response);
  }
}

/** What JSON's numbers cannot hold is text, here as in what services answer. */
function asText(_, value) {
  return typeof value === "bigint" ? value.toString() : value;
}

async function read(response) {
  const text = await response.text();
  if (text.length > ANSWER_CHARACTERS_MAX) {
    throw new ApiError({ status: response.status, title: "answer too long", detail: `${response.url}: ${text.length} characters` });
  }
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError({ status: response.status, title: "no JSON", detail: `${response.url}: expected JSON, found ${JSON.stringify(text.slice(0, 80))}` });
  }
}

async function refusal(response) {
  let problem = null;
  try {
    problem = await read(response);
  } catch {
    // A proxy in front of the service speaks HTML.
  }
  const isObject = problem !== null && typeof problem === "object";
  const waitS = Number(problem?.retry_after_s ?? problem?.retry_after ?? response.headers.get("retry-after") ?? NaN);
  return new ApiError({
    status: response.status,
    title: isObject ? problem.title : response.statusText,
    detail: isObject ? problem.detail : `${response.url}: ${response.status} ${response.statusText}`,
    code: isObject ? problem.code : null,
    retryAfterS: Number.isFinite(waitS) ? waitS : null,
    problem: isObject ? problem : null,
  });
}
