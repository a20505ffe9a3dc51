import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import * as ethers from "ethers";
import { MetanodeProvider, PravyomProvider } from "@metanode/provider";

import { settings } from "./settings.js";

/** The document's spelling of an address, whose capitals are no checksum. */
const MISSPELT = "0x742d35Cc6634C0532925a3b8D4C0b7C5C8C8b8b8";

describe("a provider on a real network", () => {
  /** @type {PravyomProvider} */
  let provider;

  before(() => {
    provider = new PravyomProvider(settings.rpc_url);
  });
  after(() => provider.destroy());

  test("says the network's name and chain id, which it has from the network", async () => {
    const network = await provider.getNetwork();
    assert.equal(network.name, "parvyom-testnet-v1");
    assert.equal(network.chainId, 1337n);
    assert.equal(Number(network.chainId), 1337);
    assert.ok(network instanceof ethers.Network);
    assert.deepEqual((await provider.getNetwork()).toJSON(), network.toJSON());
  });

  test("is ethers' provider under both of its names", () => {
    assert.equal(MetanodeProvider, PravyomProvider);
    assert.ok(provider instanceof ethers.JsonRpcProvider);
  });

  test("takes an address in any case", async () => {
    for (const address of [MISSPELT, MISSPELT.toLowerCase(), "0x" + MISSPELT.slice(2).toUpperCase(), ethers.getAddress(MISSPELT.toLowerCase())]) {
      assert.equal(await provider.getTransactionCount(address), 0, address);
      assert.equal(await provider.getCode(address), "0x");
      assert.equal(await provider.call({ to: address, data: "0x" }), "0x");
      assert.equal(await provider.estimateGas({ from: address, to: address }), 21000n);
      assert.deepEqual(await provider.getLogs({ address, fromBlock: 0 }), []);
    }
    await assert.rejects(provider.getBalance("0x742d"), { code: "UNSUPPORTED_OPERATION" });
  });

  test("sends transactions of a wallet, and one confirmation is final", async () => {
    const wallet = new ethers.Wallet(settings.funded_key, provider);
    const sent = await wallet.sendTransaction({ to: ethers.Wallet.createRandom().address, value: 1n, chainId: 1337 });
    const receipt = await sent.wait(1);
    assert.equal(receipt.status, 1);
    const finalized = await provider.getBlock("finalized");
    assert.ok(finalized.number >= receipt.blockNumber);
  });

  test("shows who decided a block", async () => {
    const validators = await provider.getValidators();
    assert.equal(validators.length, settings.validators);
    const certificate = await provider.getCommitCertificate(1);
    assert.ok(certificate.canonical);
    assert.ok(certificate.seals.length * 3 >= validators.length * 2);
    assert.equal(certificate.blockHash.length, 66);
    assert.equal(await provider.getCommitCertificate(10 ** 9), null);
  });
});

describe("a provider on a node that does not say a name", () => {
  /** Answers eth_chainId, and the rest as it is told. */
  async function node(rest) {
    const server = createServer(async (request, response) => {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const asked = JSON.parse(Buffer.concat(chunks).toString());
      const answer = (one) => ({ jsonrpc: "2.0", id: one.id, ...(one.method === "eth_chainId" ? { result: "0x539" } : rest(one)) });
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(Array.isArray(asked) ? asked.map(answer) : answer(asked)));
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    const provider = new PravyomProvider(`http://127.0.0.1:${server.address().port}`);
    return { provider, close: () => (provider.destroy(), server.close()) };
  }

  for (const [what, rest] of [
    ["because it has no such method", () => ({ error: { code: -32601, message: "the method does not exist" } })],
    ["because the name is none", () => ({ result: { network: "<b>", chainId: "0x539" } })],
    ["because the name is another chain's", () => ({ result: { network: "somebody-else", chainId: "0x1" } })],
    ["because it says nothing", () => ({ result: null })],
  ]) {
    test(`has ethers' own name, ${what}`, async () => {
      const { provider, close } = await node(rest);
      const network = await provider.getNetwork();
      assert.deepEqual([network.name, network.chainId], ["unknown", 1337n]);
      close();
    });
  }
});
