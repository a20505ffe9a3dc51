import hardhatToolboxViem from "@nomicfoundation/hardhat-toolbox-viem";
import { configVariable, defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatToolboxViem],
  solidity: {
    version: "0.8.37",
    path: `${import.meta.dirname}/node_modules/solc/soljson.js`, // npm's solc; without this line Hardhat downloads a compiler
    settings: { evmVersion: "osaka" },
  },
  ignition: { requiredConfirmations: 1, blockPollingInterval: 500 }, // a block is final
  chainDescriptors: {
    1337: { name: "Metanode", chainType: "l1", hardforkHistory: { osaka: { blockNumber: 0 } } },
  },
  networks: {
    fork: {
      type: "edr-simulated",
      chainType: "l1",
      chainId: 1337,
      forking: { url: configVariable("METANODE_URL") },
    },
    metanode: {
      type: "http",
      chainType: "l1",
      url: configVariable("METANODE_URL"),
      accounts: [configVariable("METANODE_KEY")],
    },
  },
});
