"""The database below the ledger."""

from __future__ import annotations

from typing import Final

from sdk.testnet.database import Database as AnyDatabase

_ADVISORY_LOCK: Final = 0x6661_7563_6574
"""Ours among the locks of a PostgreSQL database: "faucet"."""
READERS: Final = 4
"""Reads that run beside a payout: most are pages that ask again and again. More wait their turn, `database.WAIT_S` seconds at most."""


class Database(AnyDatabase):
    """One writer at a time, and a reader sees what the last one committed and waits for none."""

    def __init__(self, url: str) -> None:
        # What was promised has to be there after a power cut: a payout is signed once.
        super().__init__(
            url, owner="the faucet's database", lock=_ADVISORY_LOCK, synchronous="FULL", readers=READERS
        )
