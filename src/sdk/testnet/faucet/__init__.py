"""The faucet: test tokens for who asks, within limits that a restart does not reset, each paid exactly once.

`Faucet()` alone works at once, on a chain of its own; with `rpc_url` and a key it pays from a real network. The rooms:
`configuration` (what an operator may set), `policy` (who may have how much, pure), `client_address` (who asks, behind proxies), `ledger`
(the database: limits, payouts, nonces), `paying` (from an accepted request to a final transaction), `node` (the chain it pays on),
`embedded` (a chain of its own), `faucet` (all of it).
"""

from sdk.testnet.faucet.configuration import FaucetConfig
from sdk.testnet.faucet.faucet import Faucet

__all__ = ["Faucet", "FaucetConfig"]
