// Hardhat's own chain as a fork of the network: state is read, changed and mined there, and the network does not see it.
import { network } from "hardhat";

const live = await network.create("metanode");
const reader = await live.viem.getPublicClient({ pollingInterval: 200 });
const counter = await live.viem.deployContract("Counter", [], { client: { public: reader } });

// The fork is of the newest block that its own connection is told: one after the contract's.
const deployed = await reader.getBlockNumber();
while ((await reader.getBlockNumber()) <= deployed) await new Promise((resolve) => setTimeout(resolve, 200));
const fork = await network.create("fork");
const copy = await fork.viem.getContractAt("Counter", counter.address);
const forkReader = await fork.viem.getPublicClient();
const first = await forkReader.getBlockNumber();
await copy.write.add([5n]);
await fork.networkHelpers.mine(3);

console.log(
  JSON.stringify({
    chain_id: await forkReader.getChainId(),
    mined: Number((await forkReader.getBlockNumber()) - first),
    fork: Number(await copy.read.value()),
    network: Number(await counter.read.value()),
  }),
);
