"""An index of one block that knows contracts, before anybody has verified one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from sdk.testnet.services.store.tables import accounts, contracts, index_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.services.store import Store

COUNTED = (
    "first_block",
    "last_block",
    "transaction_count",
    "transfer_count",
    "internal_count",
    "log_count",
    "proposed_count",
    "token_count",
    "active_hour",
)


def write_contracts(store: Store, addresses: Sequence[bytes], *, chain_id: int) -> None:
    """Write the index's head and these contracts, whose accounts are numbered from 1 on."""
    zero = dict.fromkeys(COUNTED, 0)
    with store.change() as connection:
        for number, address in enumerate(addresses, 1):
            connection.execute(insert(accounts).values(id=number, address=address, is_contract=True, **zero))
            connection.execute(insert(contracts).values(account_id=number, created_at_number=1))
        connection.execute(
            insert(index_state).values(
                id=1, chain_id=chain_id, genesis_hash=bytes(32), consensus_genesis_hash=b"", number=1, hash=bytes(32),
                indexed_at=1, next_account_id=len(addresses) + 1, proposer_order=b"",
            )
        )  # fmt: skip
