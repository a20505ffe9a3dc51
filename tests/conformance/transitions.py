"""Transactions on a given state, without a chain: the engine's `run_transition` in the words of Python.

`run` takes the name of a fork, the state, the block's environment and raw transactions, and gives the roots and hashes, the receipts, the
gas, the accounts that changed, and which transactions were left out and why.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.conformance.chains import fork_config

from metanode import _engine


def run(
    network: str,
    *,
    alloc: Mapping[str, Any],
    env: Mapping[str, Any],
    transactions: Sequence[bytes],
    is_block: bool = False,
    config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run transactions under the rules of a fork such as "Prague".

    `alloc` is that of a genesis. `env` has `number`, `timestamp`, `gasLimit` and `coinbase` in hex, and as the fork needs them `difficulty`,
    `mixHash`, `baseFeePerGas`, `excessBlobGas`, `parentBeaconBlockRoot`, `parentHash`, `withdrawals` and `blockHashes` by decimal number.
    With `is_block`, what belongs to a block happens too: system calls, withdrawals, requests, rewards. `config` is more than the fork says
    for the `config` of a genesis. Raises InvalidInput, and InvalidBlock for a block that cannot be.

    The answer has `stateRoot`, `receiptsRoot`, `logsHash`, `logsBloom`, `gasUsed`, `blobGasUsed`, `requests`, `receipts` as JSON-RPC has them,
    `rejected` (`index`, `code`, `message`) and `accounts`: those that changed, by address, null when gone.
    """
    transition = {
        "config": {**fork_config(network), **(config or {})},
        "alloc": alloc,
        "env": env,
        "transactions": ["0x" + raw.hex() for raw in transactions],
        "isBlock": is_block,
    }
    result: dict[str, Any] = json.loads(_engine.run_transition(json.dumps(transition).encode()))
    return result
