// What a person types into Hardhat's console, in a file: connect, read, deploy, write, events, a revert, fees. Prints one JSON document.
import { network } from "hardhat";

const { viem, networkName, provider } = await network.create();
const reader = await viem.getPublicClient({ pollingInterval: 200 });
const [writer] = await viem.getWalletClients();
const results: Record<string, unknown> = { network: networkName };

results.chain_id = await reader.getChainId();
results.provider_chain_id = Number(await provider.request({ method: "eth_chainId" }));
const before = await reader.getBlock();
results.has_base_fee = before.baseFeePerGas !== null;
const fees = await reader.estimateFeesPerGas();
results.fee_covers_base = fees.maxFeePerGas >= before.baseFeePerGas!;
const history = await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [25, 75] });
results.history = [history.baseFeePerGas.length, history.reward!.length];

const transferred = await reader.waitForTransactionReceipt({
  hash: await writer.sendTransaction({ to: "0xe7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7", value: 10n ** 18n }),
});
results.transfer = [transferred.status, Number(transferred.gasUsed), transferred.type];

const counter = await viem.deployContract("Counter", [], { client: { public: reader } });
await reader.waitForTransactionReceipt({ hash: await counter.write.add([21n]) });
results.doubled = Number(await counter.read.doubled());
const [changed] = await counter.getEvents.Changed({}, { fromBlock: before.number });
results.event = Number(changed.args.value);
try {
  await counter.simulate.add([100n]);
} catch (error) {
  results.revert = String(error).includes("amount too large");
}
results.gas_estimate_is_used = (await counter.estimateGas.add([1n])) >= 21_000n;

console.log(JSON.stringify(results));
