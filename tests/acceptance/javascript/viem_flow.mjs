// What an application does with viem: the same flow as ethers_flow.mjs. Usage: node viem_flow.mjs SETTINGS.json
import { readFileSync } from "node:fs";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  defineChain,
  encodeFunctionData,
  http,
  nonceManager,
  parseEther,
  webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket; // Node 20 has none of its own
const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const chain = defineChain({
  id: settings.chain_id,
  name: "Metanode",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [settings.http_url], webSocket: [settings.ws_url] } },
});
const account = privateKeyToAccount(settings.private_key, { nonceManager });
const reader = createPublicClient({ chain, transport: http(), pollingInterval: 200 });
const listener = createPublicClient({ chain, transport: webSocket() });
const writer = createWalletClient({ account, chain, transport: http() });
const { abi } = settings;
const results = {};

results.chain_id = await reader.getChainId();
results.block = Number(await reader.getBlockNumber());

const transferred = await reader.waitForTransactionReceipt({
  hash: await writer.sendTransaction({ to: settings.recipient, value: parseEther("1.5") }),
});
results.transfer = { status: transferred.status === "success" ? 1 : 0, gas_used: Number(transferred.gasUsed) };
results.recipient_balance = (await reader.getBalance({ address: settings.recipient })).toString();

const deployed = await reader.waitForTransactionReceipt({
  hash: await writer.deployContract({ abi, bytecode: settings.bytecode }),
});
const address = deployed.contractAddress;
results.code_bytes = ((await reader.getCode({ address })).length - 2) / 2;

const confirmed = new Promise((resolve) => {
  const { transport } = listener;
  const subscribe = transport.subscribe;
  transport.subscribe = async (options) => {
    const subscription = await subscribe(options);
    resolve();
    return subscription;
  };
});
let stop;
const subscribed = new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error("no log arrived in 30 s")), 30_000).unref();
  stop = listener.watchContractEvent({ address, abi, eventName: "Changed", onLogs: (logs) => resolve(logs[0]), onError: reject });
});
await confirmed; // the node knows of the subscription before the transaction
await reader.waitForTransactionReceipt({
  hash: await writer.writeContract({ address, abi, functionName: "add", args: [21n] }),
});
results.doubled = Number(await reader.readContract({ address, abi, functionName: "doubled" }));
results.subscribed_value = Number((await subscribed).args.value);
stop();
const [logged] = await reader.getContractEvents({ address, abi, eventName: "Changed", fromBlock: 0n });
results.logged_value = Number(logged.args.value);

const reason = (error) =>
  error instanceof BaseError ? error.walk((cause) => cause instanceof ContractFunctionRevertedError)?.reason : String(error);
try {
  await reader.simulateContract({ account, address, abi, functionName: "add", args: [100n] });
} catch (error) {
  results.revert_reason = reason(error);
}
try {
  await reader.estimateContractGas({ account, address, abi, functionName: "add", args: [100n] });
} catch (error) {
  results.estimate_revert_reason = reason(error);
}

const { baseFeePerGas } = await reader.getBlock();
const fees = await reader.estimateFeesPerGas();
const history = await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
results.fees_cover_base =
  fees.maxFeePerGas > baseFeePerGas && (await reader.getGasPrice()) > 0n && history.baseFeePerGas.length === 3;
const KINDS = { legacy: 0, eip2930: 1, eip1559: 2, eip7702: 4 };
results.types = [];
const accessList = [{ address, storageKeys: [`0x${"00".repeat(32)}`] }];
for (const kind of [{ type: "legacy" }, { type: "eip2930", accessList }, { type: "eip1559", accessList }]) {
  const data = encodeFunctionData({ abi, functionName: "add", args: [0n] });
  const hash = await writer.sendTransaction({ to: address, data, ...kind });
  const receipt = await reader.waitForTransactionReceipt({ hash });
  const found = await reader.getTransaction({ hash });
  results.types.push([receipt.status === "success" ? 1 : 0, KINDS[receipt.type], KINDS[found.type]]);
}

const authority = privateKeyToAccount(generatePrivateKey());
const authorization = await authority.signAuthorization({ contractAddress: address, chainId: chain.id, nonce: 0 });
const delegated = await reader.waitForTransactionReceipt({
  hash: await writer.writeContract({
    address: authority.address, abi, functionName: "add", args: [7n], authorizationList: [authorization],
  }),
});
results.delegation = [
  delegated.status === "success" ? 1 : 0,
  (await reader.getCode({ address: authority.address })) === "0xef0100" + address.slice(2).toLowerCase(),
  Number(await reader.readContract({ address: authority.address, abi, functionName: "doubled" })),
  (await reader.getTransaction({ hash: delegated.transactionHash })).authorizationList[0].address.toLowerCase() === address.toLowerCase(),
];

const hashes = await Promise.all(
  Array.from({ length: 20 }, () => writer.sendTransaction({ to: settings.recipient, value: 1n, gas: 21_000n })),
);
const receipts = await Promise.all(hashes.map((hash) => reader.waitForTransactionReceipt({ hash })));
results.parallel = receipts.filter((receipt) => receipt.status === "success").length;

console.log(JSON.stringify(results));
process.exit(0);
