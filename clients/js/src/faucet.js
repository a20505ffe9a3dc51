import { ApiError, JsonService } from "./http.js";
import { solve } from "./work.js";

const PATH = "/api/v1/faucet";
/** Between two looks at a claim. */
const POLL_MS = 500;
/** A claim that is not over after this is left to the caller. */
const WAIT_MS = 120_000;

/** A faucet (port 8080): `await new FaucetClient("http://127.0.0.1:8080").fund(wallet.address)`. */
export class FaucetClient extends JsonService {
  constructor(url = "http://127.0.0.1:8080", options = {}) {
    super(url, options);
  }

  /** State, rules, and how hard a puzzle would be for the caller. */
  status(options) {
    return this.ask("GET", PATH, options);
  }

  /** Whether a claim for an address would be paid now; promises nothing. */
  eligibility(address, options) {
    return this.ask("GET", `${PATH}/eligibility`, { query: { address: lower(address) }, ...options });
  }

  /** The newest payouts. */
  async payouts(options) {
    return (await this.ask("GET", `${PATH}/payouts`, options)).items;
  }

  /**
   * Claim coins for an address: fetches a challenge where the faucet asks for one, solves it, and returns the accepted claim. A `voucher` needs no
   * challenge. The same `idempotencyKey` is paid once, however often it is sent.
   */
  async claim(address, { voucher, idempotencyKey, signal, onProgress } = {}) {
    const headers = idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey };
    const post = (body) => this.ask("POST", `${PATH}/claims`, { body, headers, signal });
    if (voucher !== undefined) return post({ address: lower(address), voucher });
    const { proof_of_work: work } = await this.status({ signal });
    if (work === null) return post({ address: lower(address) });
    const challenge = await this.ask("POST", `${PATH}/challenges`, { body: { address: lower(address) }, signal });
    return post({ challenge: challenge.challenge, nonces: await solve(challenge, { signal, onProgress }) });
  }

  /** How far a claim is. */
  claimStatus(id, options) {
    return this.ask("GET", `${PATH}/claims/${encodeURIComponent(id)}`, options);
  }

  /** Wait until a claim is final. Throws ApiError when it was not paid, or not in time. */
  async waitForClaim(id, { timeoutMs = WAIT_MS, signal } = {}) {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const claim = await this.claimStatus(id, { signal });
      if (claim.state === "final") return claim;
      if (claim.is_over || Date.now() > deadline) {
        const detail = claim.error ?? `the claim ${id} is ${claim.state}${claim.is_over ? "" : ` after ${timeoutMs / 1000} s`}`;
        throw new ApiError({ status: 200, title: "not paid", detail, code: claim.state, problem: claim });
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Claim coins, and wait until they are there. */
  async fund(address, options = {}) {
    const claim = await this.claim(address, options);
    return this.waitForClaim(claim.id, options);
  }
}

/** Whatever the capitals are: the digits are what counts. */
function lower(address) {
  return String(address).toLowerCase();
}
