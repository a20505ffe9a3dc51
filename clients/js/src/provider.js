import { JsonRpcProvider, Network, isAddress } from "ethers";

/** Blocks come every two seconds; ethers asks every four unless it is told otherwise. */
const POLLING_INTERVAL_MS = 1_000;
const ADDRESS = /^0x[0-9a-fA-F]{40}$/;
/** What a network's name may be (`network.network_id` of a node's configuration). */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/**
 * A JsonRpcProvider that knows the name of its network, and takes addresses in any case.
 *
 * `getNetwork()` asks the node which chain it is on and what the network is called, so that nothing about it is typed twice. `chainId` is a bigint, as
 * everywhere in ethers v6: `Number(network.chainId)` is the number.
 */
export class PravyomProvider extends JsonRpcProvider {
  /** @type {Map<bigint, string | null>} */
  #names = new Map();

  constructor(url = "http://127.0.0.1:8545", network = undefined, options = {}) {
    super(url, network, { pollingInterval: POLLING_INTERVAL_MS, ...options });
  }

  async _detectNetwork() {
    const found = await super._detectNetwork();
    if (this._getOption("staticNetwork") instanceof Network) return found;
    const name = await this.#nameOf(found.chainId);
    return name === null ? found : new Network(name, found.chainId);
  }

  /** The validators that decide a block. */
  async getValidators(blockTag = "latest") {
    return this.send("ibft_getValidatorsByBlockNumber", [await this._getBlockTag(blockTag)]);
  }

  /** The quorum of commit seals that decided a block: the proof that it is final. */
  async getCommitCertificate(blockTag = "latest") {
    return this.send("ibft_getCommitCertificate", [await this._getBlockTag(blockTag)]);
  }

  _getAddress(address) {
    return super._getAddress(anyCase(address));
  }

  _getTransactionRequest(request) {
    const to = anyCase(request.to);
    const from = anyCase(request.from);
    const changed = to !== request.to || from !== request.from;
    return super._getTransactionRequest(changed ? { ...request, to, from } : request);
  }

  /** What the network is called, null where the node does not say; asked once for a chain. */
  async #nameOf(chainId) {
    if (this.#names.has(chainId)) return this.#names.get(chainId);
    let answer;
    try {
      // Not `send`, which waits until the network is known: that is what we are finding out.
      [answer] = await this._send({ jsonrpc: "2.0", id: 1, method: "ibft_getNetworkState", params: [] });
    } catch {
      // The node did not answer this time; the chain id that it gave is right all the same.
      return null;
    }
    const said = answer?.result;
    const fits = NAME.test(said?.network ?? "") && BigInt(said.chainId ?? -1) === chainId;
    const name = fits ? said.network : null;
    this.#names.set(chainId, name);
    return name;
  }
}

/** An address whose capitals are no checksum is taken as one that has none: the digits are what counts. */
function anyCase(value) {
  const isMisspelt = typeof value === "string" && ADDRESS.test(value) && !isAddress(value);
  return isMisspelt ? value.toLowerCase() : value;
}
