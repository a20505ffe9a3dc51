// Never run: the compiler checks that these uses fit the types.
import { Wallet } from "ethers";
import { ApiError, CommunityClient, FaucetClient, MetanodeProvider, PravyomProvider } from "@metanode/provider";

const provider: MetanodeProvider = new PravyomProvider("http://127.0.0.1:8545", undefined, { batchMaxCount: 1 });
const wallet = Wallet.createRandom().connect(provider);
const { name, chainId }: { name: string; chainId: bigint } = await provider.getNetwork();
const validators: string[] = await provider.getValidators();
const certificate = await provider.getCommitCertificate("latest");
const seals: number = certificate?.seals.length ?? 0;
const claim = await new FaucetClient().fund(wallet.address, { onProgress: ({ tried }) => tried.toFixed() });
const hash: string | null = claim.transaction_hash;
const api = new CommunityClient("http://127.0.0.1:9545", { apiKey: "evk_" });
for await (const block of api.items<{ number: number }>("/blocks", { order: "desc" })) block.number.toFixed();
for await (const { event, data } of api.events({ signal: AbortSignal.timeout(1) })) console.log(event, data);
const { succeeded, values } = await api.callContract(wallet.address, "pairs", [1n, [["0x", true]]]);
const first: string = succeeded ? values?.[0]?.value : "";
const { to, data } = await api.encodeCall(wallet.address, "pay", [], { signal: AbortSignal.timeout(1) });
await wallet.sendTransaction({ to, data });
try {
  await api.block(1n);
} catch (error) {
  if (error instanceof ApiError && error.retryAfterS !== null) error.retryAfterS.toFixed();
}
// @ts-expect-error a URL is text
new PravyomProvider(8545);
// @ts-expect-error what a function is given is a list
await api.callContract(wallet.address, "pay", 1n);
// @ts-expect-error there is no such call
provider.getTheName();
export { chainId, first, hash, name, seals, validators, wallet };
