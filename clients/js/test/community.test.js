import assert from "node:assert/strict";
import { test } from "node:test";

import { ethers } from "ethers";
import { ApiError, CommunityClient } from "@metanode/provider";

import { settings } from "./settings.js";

const api = new CommunityClient(settings.api_url);

test("the network, a block and an address are read, each as the node has them", async () => {
  assert.equal((await api.network()).chain_id, 1337);
  const block = await api.block(1);
  assert.equal(block.number, 1);
  assert.equal((await api.block(block.hash)).hash, block.hash);
  const funded = new ethers.Wallet(settings.funded_key).address;
  for (const spelling of [funded, funded.toLowerCase(), "0x" + funded.slice(2).toUpperCase()]) {
    assert.equal((await api.address(spelling)).address, funded);
  }
  assert.equal((await api.validators()).length, settings.validators);
});

test("a list is read to its end, page after page", async () => {
  const numbers = [];
  for await (const block of api.items("/blocks", {}, { pageItems: 2 })) numbers.push(block.number);
  assert.ok(numbers.length >= 5, `${numbers.length} blocks`);
  assert.deepEqual(numbers, [...numbers].sort((one, other) => other - one));
  assert.equal(new Set(numbers).size, numbers.length);
  assert.equal(numbers.at(-1), 0);
});

test("a contract is asked by its functions' names, and a call of it is written as ethers writes it", async () => {
  const { token } = settings;
  const symbol = await api.callContract(token.toLowerCase(), "symbol");
  assert.deepEqual([symbol.contract, symbol.succeeded, symbol.values[0].value, symbol.error], [token, true, "SPK", null]);
  const funded = new ethers.Wallet(settings.funded_key).address;
  const refused = await api.callContract(token, "balanceOf", [funded]);
  assert.deepEqual([refused.succeeded, refused.values], [false, null], "it has no such function, whatever it emits");
  assert.ok(refused.error);
  const call = await api.encodeCall(token, "allowance", [funded, token]);
  const own = new ethers.Interface(["function allowance(address,address) view returns (uint256)"]);
  assert.deepEqual([call.to, call.data, call.state_mutability], [token, own.encodeFunctionData("allowance", [funded, token]), "view"]);
  await assert.rejects(api.encodeCall(token, "allowance", [funded]), { name: "ApiError", message: /expected 2/ });
  await assert.rejects(api.callContract(funded, "symbol"), { status: 404 });
});

test("what the API refuses is said in its words", async () => {
  await assert.rejects(api.block(10 ** 9), (error) => error instanceof ApiError && error.status === 404 && error.problem.status === 404);
  await assert.rejects(api.get("/blocks", { limit: 1000 }), { status: 422 });
});
