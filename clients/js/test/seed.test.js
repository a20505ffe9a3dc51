// The snippet of the launch plan, as it stands there but for what has to be another: the URL is that of the network which this run has started (nobody
// answers at the document's), `parseEther` is that of ethers v6, the `to` address is in lower case (the document's spelling fails EIP-55, which ethers'
// wallet checks), and there is a `wallet`, which the faucet has funded.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { ethers } from "ethers";
import { PravyomProvider } from "@metanode/provider";

import { settings } from "./settings.js";

test("the document's snippet runs", async () => {
  const changes = [
    ["https://testnet-rpc.parvyom.network", settings.rpc_url],
    ["ethers.utils.parseEther", "ethers.parseEther"],
    ["0x742d35Cc6634C0532925a3b8D4C0b7C5C8C8b8b8", "0x742d35Cc6634C0532925a3b8D4C0b7C5C8C8b8b8".toLowerCase()],
  ];
  let code = readFileSync(new URL("launch-plan-snippet.txt", import.meta.url), "utf8");
  for (const [old, fresh] of changes) {
    assert.equal(code.split(old).length, 2, `once in the document: ${old}`);
    code = code.replace(old, fresh);
  }
  const printed = [];
  const console_ = { log: (...values) => printed.push(values) };
  const wallet = new ethers.Wallet(settings.faucet_funded_key, new PravyomProvider(settings.rpc_url));

  const run = new Function("PravyomProvider", "ethers", "wallet", "console", `return (async () => { ${code}; return { provider, tx }; })();`);
  const { provider, tx } = await run(PravyomProvider, ethers, wallet, console_);

  assert.deepEqual(printed, [["Network:", "parvyom-testnet-v1"], ["Chain ID:", 1337n]]);
  const receipt = await tx.wait(1);
  assert.equal(receipt.status, 1);
  assert.ok((await provider.getBalance(receipt.to)) >= ethers.parseEther("1.0"));
  provider.destroy();
  wallet.provider.destroy();
});
