// The network that the tests run against: a JSON file that METANODE_TEST_SETTINGS names, written by whoever started it.
import { readFileSync } from "node:fs";

const file = process.env.METANODE_TEST_SETTINGS;
if (!file) throw new Error("METANODE_TEST_SETTINGS: expected the path of a JSON file; `make acceptance` starts a network and writes it");
/** `rpc_url`, `faucet_url`, `api_url`, `validators` (how many), `token` (the address of an ERC-20 that has a symbol, SPK, and no balances), `funded_key` of an account with coins, `faucet_funded_key` of one whose coins are from the faucet. */
export const settings = JSON.parse(readFileSync(file, "utf8"));
