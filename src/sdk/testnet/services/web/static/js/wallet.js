// Wallets in the browser: found by EIP-6963, asked for an address (EIP-1193), told of the network (EIP-3085). What a wallet says of itself is shown as text.
const LEGACY_WAIT_MS = 300;
const NAME_CHARACTERS = 32;
const DECLINED = 4001;

export function watchWallets(onWallet) {
  const seen = new Set();
  const add = ({ info, provider }) => {
    if (!info || !provider || typeof provider.request !== "function" || seen.has(info.uuid)) return;
    seen.add(info.uuid);
    onWallet({ name: String(info.name ?? "Wallet").slice(0, NAME_CHARACTERS), icon: safeIcon(info.icon), provider });
  };
  window.addEventListener("eip6963:announceProvider", (event) => { if (event.detail) add(event.detail); });
  window.dispatchEvent(new Event("eip6963:requestProvider"));
  setTimeout(() => {
    if (seen.size === 0 && window.ethereum) add({ info: { uuid: "legacy", name: "Browser wallet", icon: "" }, provider: window.ethereum });
  }, LEGACY_WAIT_MS);
}

export async function requestAddress(provider) {
  const accounts = await provider.request({ method: "eth_requestAccounts" });
  const first = Array.isArray(accounts) ? accounts[0] : undefined;
  if (typeof first !== "string" || !/^0x[0-9a-fA-F]{40}$/.test(first)) throw new Error("the wallet gave no address");
  return first;
}

export async function addNetwork(provider) {
  const answer = await fetch("/network.json");
  if (!answer.ok) throw new Error("this site does not answer");
  await provider.request({ method: "wallet_addEthereumChain", params: [await answer.json()] });
}

// Makes the wallet use a network (EIP-3326), which is added to it if it is not known there.
export async function useNetwork(provider, chainId) {
  const isThere = async () => Number(await provider.request({ method: "eth_chainId" })) === chainId;
  if (await isThere()) return;
  const change = { method: "wallet_switchEthereumChain", params: [{ chainId: `0x${chainId.toString(16)}` }] };
  try {
    await provider.request(change);
  } catch (error) {
    if (error?.code === DECLINED) throw error;
    await addNetwork(provider);
    if (await isThere()) return;
    await provider.request(change);
  }
  if (!(await isThere())) throw new Error("the wallet stays on another network");
}

// Only a picture that is in the text itself: an address of a picture would tell somebody who looks at this page.
function safeIcon(icon) {
  return typeof icon === "string" && /^data:image\/(png|svg\+xml|webp|jpeg|gif)[;,]/.test(icon) ? icon : "";
}

// A place in a list of wallets, with a button that is pressed to choose it. A wallet names itself: its name is text, and never markup.
export function walletEntry({ name, icon }, chosen) {
  const entry = document.createElement("li");
  const choose = document.createElement("button");
  choose.type = "button";
  choose.className = "plain";
  if (icon) {
    const picture = document.createElement("img");
    picture.src = icon;
    picture.alt = "";
    choose.append(picture);
  }
  const text = document.createElement("bdi");
  text.textContent = name;
  choose.append(text);
  choose.addEventListener("click", chosen);
  entry.append(choose);
  return entry;
}
