// Runs on a live network: what these tests deploy stays there.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { network } from "hardhat";

describe("Counter", async () => {
  const { viem } = await network.create();
  const reader = await viem.getPublicClient({ pollingInterval: 200 });
  const [writer] = await viem.getWalletClients();
  const client = { public: reader };

  it("counts, says so, and refuses large amounts", async () => {
    const counter = await viem.deployContract("Counter", [], { client });
    await viem.assertions.emitWithArgs(counter.write.add([21n]), counter, "Changed", [writer.account.address, 21n]);
    assert.equal(await counter.read.value(), 21n);
    await viem.assertions.revertWith(counter.write.add([100n]), "amount too large");
  });

  it("moves tokens and ether", async () => {
    const token = await viem.deployContract("Token", [1000n], { client });
    const to = "0xe8e8e8e8e8e8e8e8e8e8e8e8e8e8e8e8e8e8e8e8";
    await reader.waitForTransactionReceipt({ hash: await token.write.transfer([to, 7n]) });
    assert.equal(await token.read.balanceOf([to]), 7n);
    await viem.assertions.balancesHaveChanged(writer.sendTransaction({ to, value: 9n }), [{ address: to, amount: 9n }]);
  });
});
