// @metanode/provider: ethers v6 on a Metanode network.
export { PravyomProvider, PravyomProvider as MetanodeProvider } from "./provider.js";
export { CommunityClient } from "./community.js";
export { FaucetClient } from "./faucet.js";
export { ApiError } from "./http.js";
