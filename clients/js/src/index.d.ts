import type { BlockTag, JsonRpcApiProviderOptions, JsonRpcProvider, Networkish } from "ethers";

export interface CommitSeal {
  validator: string;
  signature: string;
  [name: string]: unknown;
}

/** The quorum of commit seals that decided a block. */
export interface CommitCertificate {
  height: string;
  round: string;
  blockHash: string;
  /** Whether a decided block holds it; of the newest block it is as this node recorded it. */
  canonical: boolean;
  encoded: string;
  seals: CommitSeal[];
}

/** A JsonRpcProvider that knows the name of its network, and takes addresses in any case. */
export class PravyomProvider extends JsonRpcProvider {
  constructor(url?: string, network?: Networkish, options?: JsonRpcApiProviderOptions);
  /** The validators that decide a block, the newest unless another is named. */
  getValidators(blockTag?: BlockTag): Promise<string[]>;
  /** The quorum of commit seals that decided a block; null when there is no such block. */
  getCommitCertificate(blockTag?: BlockTag): Promise<CommitCertificate | null>;
}

export { PravyomProvider as MetanodeProvider };

/** The body of a refusal (RFC 9457). */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  [name: string]: unknown;
}

/** What a service refused, in its words, or that it could not be reached. */
export class ApiError extends Error {
  /** Of HTTP; 0 when nobody answered. */
  status: number;
  title: string | null;
  code: string | null;
  /** Seconds after which to try again, where the service says so. */
  retryAfterS: number | null;
  problem: Problem | null;
}

export interface ServiceOptions {
  apiKey?: string;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

export type Query = Record<string, string | number | bigint | boolean | null | undefined>;
export type Json = Record<string, any>;

/** A page of a list. */
export interface Page<T> {
  items: T[];
  /** For the next page; null on the last one. */
  next: string | null;
}

export interface ServerEvent<T = any> {
  event: string;
  id: string | null;
  data: T;
}

/** What a function of a contract is given: numbers also as text, addresses and bytes as 0x and digits, arrays and tuples as lists. */
export type Argument = string | number | bigint | boolean | Argument[];

/** What a reading function answered. */
export interface CallAnswer {
  contract: string;
  signature: string;
  /** Where the function is known from: the contract's own source, that of another with its code, or the standard of a token. */
  interface: "verified" | "same code" | "guess";
  call: string;
  succeeded: boolean;
  /** Numbers as decimal text; null where there are none, for which `error` has the reason. */
  values: { name: string; type: string; value: any }[] | null;
  error: string | null;
  returned: string;
  returned_bytes: number;
}

/** A call to be signed and sent: `to` and `data` of a transaction. */
export interface EncodedCall {
  to: string;
  data: string;
  signature: string;
  selector: string;
  /** Only the last takes coins. */
  state_mutability: "pure" | "view" | "nonpayable" | "payable";
}

/** The community API of a network (port 9545). Methods throw ApiError. */
export class CommunityClient {
  constructor(url?: string, options?: ServiceOptions);
  /** Any resource below /api/v1, such as "/validators". */
  get<T = Json>(path: string, query?: Query, options?: RequestOptions): Promise<T>;
  /** A resource that takes a document. */
  post<T = Json>(path: string, body: unknown, options?: RequestOptions): Promise<T>;
  network(): Promise<Json>;
  /** The verdict on the network's health, with its reasons. */
  networkStatus(): Promise<Json>;
  block(id?: number | bigint | string): Promise<Json>;
  transaction(hash: string): Promise<Json>;
  /** In any case. */
  address(address: string): Promise<Json>;
  /** Ask a reading function of a contract, by its name, signature or selector. */
  callContract(address: string, name: string, args?: Argument[], options?: RequestOptions): Promise<CallAnswer>;
  /** Write a call of any function as the data of a transaction. */
  encodeCall(address: string, name: string, args?: Argument[], options?: RequestOptions): Promise<EncodedCall>;
  validators(): Promise<Json[]>;
  search(text: string): Promise<Json>;
  /** Every item of a list, page after page as it is read. */
  items<T = Json>(path: string, query?: Query, options?: { pageItems?: number; signal?: AbortSignal }): AsyncGenerator<T>;
  /** Events as the server sends them. */
  events<T = any>(options?: { query?: Query; signal?: AbortSignal }): AsyncGenerator<ServerEvent<T>>;
}

/** A claim of a faucet; amounts are wei as decimal text. */
export interface Claim {
  id: string;
  address: string;
  amount: string;
  state: "queued" | "signed" | "sent" | "final" | "cancelled" | "failed";
  is_over: boolean;
  transaction_hash: string | null;
  error: string | null;
  [name: string]: unknown;
}

export interface Eligibility {
  is_eligible: boolean;
  reason: string | null;
  code: string | null;
  retry_after: number | null;
}

export interface ClaimOptions {
  voucher?: string;
  /** The same text is paid once, however often it is sent. */
  idempotencyKey?: string;
  signal?: AbortSignal;
  onProgress?: (progress: { tried: number; expected: number }) => void;
}

/** A faucet (port 8080). Methods throw ApiError. */
export class FaucetClient {
  constructor(url?: string, options?: ServiceOptions);
  /** State, rules, and how hard a puzzle would be for the caller. */
  status(options?: RequestOptions): Promise<Json>;
  /** Whether a claim would be paid now; promises nothing. */
  eligibility(address: string, options?: RequestOptions): Promise<Eligibility>;
  payouts(options?: RequestOptions): Promise<Claim[]>;
  /** Claim coins, solving the faucet's puzzle where it asks for that; the accepted claim. */
  claim(address: string, options?: ClaimOptions): Promise<Claim>;
  claimStatus(id: string, options?: RequestOptions): Promise<Claim>;
  /** Wait until a claim is final. */
  waitForClaim(id: string, options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Claim>;
  /** Claim coins, and wait until they are there. */
  fund(address: string, options?: ClaimOptions & { timeoutMs?: number }): Promise<Claim>;
}
