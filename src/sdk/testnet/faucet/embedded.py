"""A chain of the faucet's own: one real validator, its files in memory, started when the first coins are asked for."""

from __future__ import annotations

import atexit
import secrets
import threading
from typing import Final

from metanode.crypto.addresses import format_address
from metanode.crypto.secp256k1 import PrivateKey
from sdk.testnet.ephemeral import Testnet

BALANCE_WEI: Final = 10_000_000 * 10**18
"""100 days of 1,000 requests of 100 tokens."""


class EmbeddedChain:
    """One validator, and an account that only this process knows. It ends with the process, or by `stop`."""

    def __init__(self) -> None:
        self.key = PrivateKey(secrets.token_bytes(32))
        self._testnet = Testnet(
            validators=1,
            block_time_s=1,
            in_memory=True,
            balances={format_address(self.key.address): BALANCE_WEI},
        )
        self._lock = threading.Lock()
        self._started = False

    def start(self) -> str:
        """Start it, unless it runs, and return its JSON-RPC address; takes about three seconds. Raises Unavailable."""
        with self._lock:
            if not self._started:
                self._testnet.start()
                self._started = True
                atexit.register(self.stop)
            return self._testnet.rpc_url

    def stop(self) -> None:
        """Stop it, if it was started; nothing of it stays."""
        with self._lock:
            if self._started:
                self._testnet.stop()
                self._started = False
                atexit.unregister(self.stop)
