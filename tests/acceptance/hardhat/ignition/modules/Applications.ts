import { buildModule } from "@nomicfoundation/hardhat-ignition/modules";

export default buildModule("Applications", (module) => {
  const counter = module.contract("Counter");
  const token = module.contract("Token", [10n ** 24n]);
  module.call(counter, "add", [21n]);
  module.call(token, "transfer", [counter, 5n]);
  return { counter, token };
});
