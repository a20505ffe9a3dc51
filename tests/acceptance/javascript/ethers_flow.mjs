// What an application does with ethers v6: connect, transfer, deploy, call, read logs, subscribe, decode a revert, estimate
// fees, send each kind of transaction, delegate an account (EIP-7702), send twenty transactions at once. Usage: node ethers_flow.mjs SETTINGS.json; prints one JSON document.
import { readFileSync } from "node:fs";
import { ContractFactory, JsonRpcProvider, NonceManager, WebSocketProvider, Wallet, parseEther } from "ethers";
import WebSocket from "ws";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const provider = new JsonRpcProvider(settings.http_url, undefined, { pollingInterval: 200 });
const sockets = new WebSocketProvider(() => new WebSocket(settings.ws_url));
const wallet = new Wallet(settings.private_key, provider);
const results = {};

const network = await provider.getNetwork();
results.chain_id = Number(network.chainId);
results.block = await provider.getBlock("latest").then((block) => block.number);

const transfer = await wallet.sendTransaction({ to: settings.recipient, value: parseEther("1.5") });
const transferred = await transfer.wait(1);
results.transfer = { status: transferred.status, gas_used: Number(transferred.gasUsed) };
results.recipient_balance = (await provider.getBalance(settings.recipient)).toString();

const factory = new ContractFactory(settings.abi, settings.bytecode, wallet);
const contract = await factory.deploy();
await contract.waitForDeployment();
const address = await contract.getAddress();
results.code_bytes = ((await provider.getCode(address)).length - 2) / 2;

const confirmed = new Promise((resolve) => {
  const send = sockets.send.bind(sockets);
  sockets.send = async (method, params) => {
    const answer = await send(method, params);
    if (method === "eth_subscribe") resolve();
    return answer;
  };
});
const subscribed = new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("no log arrived in 30 s")), 30_000).unref();
  sockets.once({ address, topics: [contract.interface.getEvent("Changed").topicHash] }, resolve);
});
await confirmed; // the node knows of the subscription before the transaction
await (await contract.add(21n)).wait(1);
results.doubled = Number(await contract.doubled());
const pushed = await subscribed;
results.subscribed_value = Number(contract.interface.parseLog(pushed).args.value);
const [logged] = await contract.queryFilter(contract.filters.Changed(wallet.address), 0, "latest");
results.logged_value = Number(logged.args.value);

try {
  await contract.add.staticCall(100n);
} catch (error) {
  results.revert_reason = error.reason;
}
try {
  await contract.add.estimateGas(100n);
} catch (error) {
  results.estimate_revert_reason = error.reason;
}

const { baseFeePerGas } = await provider.getBlock("latest");
const fees = await provider.getFeeData();
results.fees_cover_base = fees.maxFeePerGas > baseFeePerGas && fees.maxPriorityFeePerGas > 0n && fees.gasPrice > 0n;
results.types = [];
const accessList = [{ address, storageKeys: ["0x" + "00".repeat(32)] }];
for (const kind of [{ type: 0 }, { type: 1, accessList }, { type: 2, accessList }]) {
  const sent = await wallet.sendTransaction({ to: address, data: contract.interface.encodeFunctionData("add", [0n]), ...kind });
  const receipt = await sent.wait(1);
  results.types.push([receipt.status, receipt.type, (await provider.getTransaction(sent.hash)).type]);
}

const authority = new Wallet(Wallet.createRandom().privateKey, provider);
const authorization = await authority.authorize({ address, nonce: 0n });
const delegated = await wallet.sendTransaction({
  type: 4,
  to: authority.address,
  data: contract.interface.encodeFunctionData("add", [7n]),
  authorizationList: [authorization],
});
results.delegation = [
  (await delegated.wait(1)).status,
  (await provider.getCode(authority.address)) === "0xef0100" + address.slice(2).toLowerCase(),
  Number(await contract.attach(authority.address).doubled()),
  (await provider.getTransaction(delegated.hash)).authorizationList[0].address === address,
];

const managed = new NonceManager(wallet);
const sent = await Promise.all(
  Array.from({ length: 20 }, () => managed.sendTransaction({ to: settings.recipient, value: 1n })),
);
const receipts = await Promise.all(sent.map((transaction) => transaction.wait(1)));
results.parallel = receipts.filter((receipt) => receipt.status === 1).length;

console.log(JSON.stringify(results));
await sockets.destroy();
provider.destroy();
