// Hardhat's own chain as a fork of the network: state is read, changed and mined there, and the network does not see it.
import { network } from "hardhat";

const live = await network.create("metanode");
const reader = await live.viem.getPublicClient({ pollingInterval: 200 });
const counter = await live.viem.deployContract("Counter", [], { client: { public: reader } });

// Without a number Hardhat forks 128 blocks below the head of a chain that it doesn't know and that has as many.
const blockNumber = Number(await reader.getBlockNumber({ cacheTime: 0 }));
const forking = { url: process.env.METANODE_URL!, blockNumber };
const fork = await network.create({ network: "fork", override: { forking } });
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
