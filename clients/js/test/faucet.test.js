import assert from "node:assert/strict";
import { test } from "node:test";

import { ethers } from "ethers";
import { ApiError, FaucetClient, PravyomProvider } from "@metanode/provider";
import { solve } from "../src/work.js";

import { settings } from "./settings.js";

const faucet = new FaucetClient(settings.faucet_url);

test("a claim goes from the puzzle to coins, in whatever case the address is", async () => {
  const { address } = ethers.Wallet.createRandom();
  const { is_eligible: eligible } = await faucet.eligibility(address);
  assert.equal(eligible, true);
  const status = await faucet.status();
  assert.equal(status.chain_id, 1337);
  let tried = 0;
  const claim = await faucet.fund("0x" + address.slice(2).toUpperCase(), { onProgress: (progress) => (tried = progress.tried) });
  assert.equal(claim.state, "final");
  assert.equal(claim.address, address);
  assert.ok(tried >= status.proof_of_work.k, "it has worked for it");
  const provider = new PravyomProvider(settings.rpc_url);
  assert.equal(await provider.getBalance(address), BigInt(claim.amount));
  assert.equal((await provider.getTransactionReceipt(claim.transaction_hash)).status, 1);
  provider.destroy();
  assert.ok((await faucet.payouts()).some(({ id }) => id === claim.id));
});

test("what the faucet refuses is said in its words", async () => {
  await assert.rejects(faucet.claim("0x12"), (error) => error instanceof ApiError && error.status >= 400 && error.message.includes("address"));
  await assert.rejects(faucet.claimStatus("00".repeat(16)), { status: 404 });
});

test("a puzzle is solved the same with and without Node's own scrypt", async () => {
  const challenge = { id: "11".repeat(16), address: "0x" + "22".repeat(20), params: { alg: "scrypt", N: 16, r: 8, p: 1, dkLen: 32, k: 2, bits: 5 } };
  const native = await solve(challenge);
  const versions = process.versions;
  Object.defineProperty(process, "versions", { value: {}, configurable: true });
  try {
    assert.deepEqual(await solve(challenge), native);
  } finally {
    Object.defineProperty(process, "versions", { value: versions, configurable: true });
  }
  await assert.rejects(solve({ ...challenge, params: { ...challenge.params, bits: 99 } }), RangeError);
  await assert.rejects(solve({ ...challenge, id: "zz" }), TypeError);
  await assert.rejects(solve(challenge, { signal: AbortSignal.abort() }), { name: "AbortError" });
});
