"""Accounts by their numbers: who is known already, who is new, and what changes of each."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from sdk.testnet.services.indexer import writing
from sdk.testnet.services.store.tables import accounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

KNOWN_MAX: Final = 100_000
"""Accounts that are remembered between blocks, some 25 MB. Others are looked up, in one search a batch."""
NEVER: Final = -1


class Change:
    """What a batch changes of one account."""

    __slots__ = (
        "active_hour",
        "creation_idx",
        "creation_number",
        "creator_id",
        "first_block",
        "internals",
        "is_contract",
        "last_block",
        "logs",
        "proposed",
        "tokens",
        "transactions",
        "transfers",
    )

    def __init__(self, number: int, active_hour: int) -> None:
        self.first_block = number
        self.last_block = number
        self.transactions = 0
        self.transfers = 0
        self.internals = 0
        self.logs = 0
        self.proposed = 0
        self.tokens = 0
        self.is_contract = False
        self.creator_id: int | None = None
        self.creation_number: int | None = None
        self.creation_idx: int | None = None
        self.active_hour = active_hour

    @property
    def is_code(self) -> bool:
        """Whether this says that it is a contract: who sends transactions is none (EIP-3607), also when events come from the code that it lends itself (EIP-7702)."""
        return self.is_contract and (self.active_hour == NEVER or self.creator_id is not None)


class AccountBook:
    """Numbers of accounts. What it remembers is what the database has; after a failed transaction it is thrown away."""

    def __init__(self, next_id: int, names: Mapping[bytes, str]) -> None:
        self.next_id = next_id
        self._names = names
        self._known: dict[bytes, tuple[int, int]] = {}
        """Number, and the last hour in which it sent a transaction; the least recently used first."""

    def __len__(self) -> int:
        return len(self._known)

    def batch(self, connection: Connection, addresses: Iterable[bytes]) -> AccountBatch:
        """Return the accounts of a batch's addresses, of which new ones get their numbers now."""
        ids: dict[bytes, int] = {}
        hours: dict[int, int] = {}
        missing: list[bytes] = []
        known = self._known
        for address in addresses:
            found = known.pop(address, None)
            if found is None:
                missing.append(address)
            else:
                known[address] = found
                ids[address], hours[found[0]] = found[0], found[1]
        rows = writing.find(
            connection, accounts, ("address", "id", "active_hour"), ("address",), [(one,) for one in missing]
        )
        for address, number, hour in rows:
            ids[bytes(address)], hours[number] = number, hour
        new: dict[int, bytes] = {}
        for address in missing:
            if address not in ids:
                ids[address] = self.next_id
                new[self.next_id] = address
                hours[self.next_id] = NEVER
                self.next_id += 1
        return AccountBatch(ids=ids, hours=hours, new=new)

    def write(self, connection: Connection, batch: AccountBatch) -> None:
        """Write what a batch changes, and remember its accounts; each of its new ones has a change."""
        changes, new = batch.changes, batch.new
        writing.insert(
            connection,
            accounts,
            [
                (
                    number, address, change.is_code, change.creator_id, change.creation_number,
                    change.creation_idx, change.first_block, change.last_block, change.transactions,
                    change.transfers, change.internals, change.logs, change.proposed, change.tokens,
                    change.active_hour, self._names.get(address),
                )
                for number, address in new.items()
                for change in (changes[number],)
            ],
        )  # fmt: skip
        writing.update(
            connection,
            accounts,
            _CHANGES,
            _CHANGED,
            [
                (
                    number, change.last_block, change.transactions, change.transfers, change.internals,
                    change.logs, change.proposed, change.tokens, change.active_hour, change.is_code,
                    change.creator_id, change.creation_number, change.creation_idx,
                )
                for number, change in changes.items()
                if number not in new
            ],
        )  # fmt: skip
        known = self._known
        for address, number in batch.ids.items():
            change = changes.get(number)
            known[address] = (number, batch.hours[number] if change is None else change.active_hour)
        for address in list(islice(known, max(0, len(known) - KNOWN_MAX))):
            del known[address]


class AccountBatch:
    """The accounts of one batch."""

    def __init__(self, *, ids: dict[bytes, int], hours: dict[int, int], new: dict[int, bytes]) -> None:
        self.ids = ids
        self.hours = hours
        self.new = new
        self.changes: dict[int, Change] = {}

    def touch(self, number: int, block: int) -> Change:
        """Return what changes of an account, which this block names."""
        change = self.changes.get(number)
        if change is None:
            change = self.changes[number] = Change(block, self.hours[number])
        else:
            change.last_block = block
        return change


_CHANGES: Final = (
    "last_block = {}",
    "transaction_count = accounts.transaction_count + {}",
    "transfer_count = accounts.transfer_count + {}",
    "internal_count = accounts.internal_count + {}",
    "log_count = accounts.log_count + {}",
    "proposed_count = accounts.proposed_count + {}",
    "token_count = accounts.token_count + {}",
    "active_hour = {}",
    "is_contract = accounts.is_contract OR {}",
    # A contract that destroyed itself may be created again: the last creation counts.
    "creator_id = coalesce({}, accounts.creator_id)",
    "creation_number = coalesce({}, accounts.creation_number)",
    "creation_idx = coalesce({}, accounts.creation_idx)",
)
_CHANGED: Final = (
    "last_block", "transaction_count", "transfer_count", "internal_count", "log_count", "proposed_count",
    "token_count", "active_hour", "is_contract", "creator_id", "creation_number", "creation_idx",
)  # fmt: skip
