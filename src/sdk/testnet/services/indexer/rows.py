"""A batch of blocks as rows. Everything that a node said is read here, and what can't be is the node's fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import Unavailable
from sdk.testnet.services.indexer import events
from sdk.testnet.services.indexer.balances import TokenMove
from sdk.testnet.services.indexer.series import HOUR_S, SeriesBatch
from sdk.testnet.services.indexer.told import told
from sdk.testnet.services.store.meanings import (
    REVERT_BYTES_MAX,
    CallKind,
    Counter,
    Direction,
    TokenKind,
    Traces,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sdk.testnet.services.indexer.accounts import AccountBatch
    from sdk.testnet.services.indexer.fetched import FetchedBlock

_ZERO_ADDRESS: Final = bytes(20)
_PATH_CHARACTERS_MAX: Final = 4_096
_ERROR_CHARACTERS_MAX: Final = 128
_INTERNAL: Final = {
    "CREATE": CallKind.CREATE,
    "CREATE2": CallKind.CREATE2,
    "SELFDESTRUCT": CallKind.SELF_DESTRUCT,
}
_NO_VALUE: Final = frozenset({None, "0x0", "0x"})


MovesOfLogs = dict[int, "Sequence[events.Move]"]
"""What each log that looks like a token's moved, by the log's `id`: it is decoded once, and lives as long as its block."""


@dataclass(slots=True)
class Batch:
    """Rows on their way to one transaction, in the order of each table's columns."""

    accounts: AccountBatch
    series: SeriesBatch = field(default_factory=SeriesBatch)
    blocks: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By number; the next block completes what is said of consensus."""
    transactions: list[tuple[Any, ...]] = field(default_factory=list)
    transaction_inputs: list[tuple[Any, ...]] = field(default_factory=list)
    account_transactions: list[tuple[Any, ...]] = field(default_factory=list)
    logs: list[tuple[Any, ...]] = field(default_factory=list)
    transfers: list[tuple[Any, ...]] = field(default_factory=list)
    account_transfers: list[tuple[Any, ...]] = field(default_factory=list)
    internal_calls: list[tuple[Any, ...]] = field(default_factory=list)
    account_internal_calls: list[tuple[Any, ...]] = field(default_factory=list)
    withdrawals: list[tuple[Any, ...]] = field(default_factory=list)
    created: dict[int, int] = field(default_factory=dict)
    """Contracts by account, with the number of the block that created them."""
    moves: list[TokenMove] = field(default_factory=list)
    moves_of_logs: MovesOfLogs = field(default_factory=dict)


def addresses_in(fetched: FetchedBlock, moves_of_logs: MovesOfLogs) -> Iterator[bytes]:
    """Yield every address that a block names and that shall have a number, some more than once; the moves of its logs are noted on the way."""
    from_hex = bytes.fromhex
    with told(f"block {fetched.number}"):
        block = fetched.block
        yield _address(block["miner"])
        for transaction, receipt in zip(block["transactions"], fetched.receipts, strict=True):
            yield _address(transaction["from"])
            if transaction["to"] is not None:
                yield _address(transaction["to"])
            if transaction["to"] is None and receipt.get("contractAddress") is not None:
                yield _address(receipt["contractAddress"])
            for log in receipt["logs"]:
                yield from_hex(log["address"][2:])
                topics = log["topics"]
                if topics and topics[0] in events.TOPICS:
                    moves = moves_of_logs[id(log)] = events.moves_of(topics, log["data"])
                    if moves:
                        # All moves of an event are between the same two.
                        yield moves[0].sender
                        yield moves[0].recipient
        for withdrawal in block.get("withdrawals") or ():
            yield _address(withdrawal["address"])
        for tree in fetched.calls:
            if tree is not None:
                for _, call, _ in _internal_calls(tree):
                    yield _address(call["from"])
                    if call.get("to") is not None:
                        yield _address(call["to"])
    yield from fetched.members
    if fetched.header is not None and fetched.number > 0:
        yield fetched.header.proposer
        if fetched.header.vote is not None:
            yield fetched.header.vote.subject


def add_block(batch: Batch, fetched: FetchedBlock, *, parent_timestamp: int | None) -> None:
    """Add a block's rows. Raises Unavailable for what is no block."""
    with told(f"block {fetched.number}"):
        _Collector(batch, fetched).collect(parent_timestamp)


class _Collector:
    """One block's rows."""

    def __init__(self, batch: Batch, fetched: FetchedBlock) -> None:
        self._batch = batch
        self._fetched = fetched
        self._block = fetched.block
        self._number = fetched.number
        self._ids = batch.accounts.ids
        self._timestamp = _integer(fetched.block["timestamp"])
        self._log_idx = 0
        self._fees = 0
        self._failed = 0
        self._active = 0
        self._active_today = 0
        self._transfers = 0
        self._internals = 0
        self._created = 0

    def collect(self, parent_timestamp: int | None) -> None:
        block, number, batch = self._block, self._number, self._batch
        if int(block["number"], 16) != number:
            raise ValueError("another block")
        recipient_id = self._ids[_address(block["miner"])]
        batch.accounts.touch(recipient_id, number)
        cumulative = 0
        calls = self._fetched.calls or [None] * len(self._fetched.receipts)
        for idx, (transaction, receipt, tree) in enumerate(
            zip(block["transactions"], self._fetched.receipts, calls, strict=True)
        ):
            cumulative = self._transaction(idx, transaction, receipt, tree, cumulative)
        self._withdrawals(block.get("withdrawals") or ())
        gas_used, gas_limit = _integer(block["gasUsed"]), _integer(block["gasLimit"])
        base_fee = int(block.get("baseFeePerGas") or "0x0", 16)
        proposer = self._fetched.header.proposer if self._fetched.header and number > 0 else None
        if proposer is not None:
            batch.accounts.touch(self._ids[proposer], number).proposed += 1
        batch.blocks[number] = {
            "number": number,
            "hash": _hash(block["hash"]),
            "parent_hash": _hash(block["parentHash"]),
            "consensus_hash": self._fetched.header.hash if self._fetched.header else None,
            "timestamp": self._timestamp,
            "proposer_id": None if proposer is None else self._ids[proposer],
            "fee_recipient_id": recipient_id,
            "proposal_round": self._fetched.header.proposal_round if self._fetched.header else None,
            "round": None,
            "validators_count": len(self._fetched.members),
            "seals_count": 0,
            "seals_invalid": 0,
            "is_canonical": False,
            "gas_used": gas_used,
            "gas_limit": gas_limit,
            "base_fee": base_fee.to_bytes(32, "big"),
            "fees": self._fees.to_bytes(32, "big"),
            "transaction_count": len(self._fetched.receipts),
            "failed_count": self._failed,
            "log_count": self._log_idx,
            "transfer_count": self._transfers,
            "internal_count": self._internals,
            "withdrawal_count": len(block.get("withdrawals") or ()),
            "size": _integer(block["size"]),
            "traces": int(self._fetched.traces),
            "logs_missing": self._fetched.logs_missing,
            "extra_data": bytes.fromhex(block["extraData"][2:])[:32],
            "state_root": _hash(block["stateRoot"]),
        }
        for position, sums in enumerate(batch.series.at(self._timestamp)):
            sums.block_count += 1
            sums.transaction_count += len(self._fetched.receipts)
            sums.failed_count += self._failed
            sums.transfer_count += self._transfers
            sums.contract_count += self._created
            sums.active_account_count += self._active_today if position else self._active
            sums.gas_used += gas_used
            sums.gas_limit += gas_limit
            sums.fees += self._fees
            sums.base_fee_sum += base_fee
            # From genesis to block 1 is how long nobody had started the network.
            sums.block_seconds += self._timestamp - parent_timestamp if parent_timestamp and number > 1 else 0
        for counter, added in (
            (Counter.TRANSACTIONS, len(self._fetched.receipts)),
            (Counter.FAILED_TRANSACTIONS, self._failed),
            (Counter.TRANSFERS, self._transfers),
            (Counter.INTERNAL_CALLS, self._internals),
            (Counter.LOGS, self._log_idx),
            (Counter.UNTRACED_BLOCKS, int(self._fetched.traces is Traces.UNAVAILABLE)),
        ):
            batch.series.count(counter, added)

    def _transaction(
        self, idx: int, transaction: Any, receipt: Any, tree: dict[str, Any] | None, cumulative: int
    ) -> int:
        batch, number, ids = self._batch, self._number, self._ids
        if receipt["transactionHash"] != transaction["hash"]:
            raise ValueError("receipts of other transactions")
        gas_used = _integer(receipt["gasUsed"])
        price = int(receipt["effectiveGasPrice"], 16)
        self._fees += gas_used * price
        status = 0 if receipt.get("status") == "0x0" else 1
        data = transaction["input"]
        sender = ids[bytes.fromhex(transaction["from"][2:])]
        to = transaction["to"]
        recipient = None if to is None else ids[bytes.fromhex(to[2:])]
        created = None
        logs_before, transfers_before, internals_before = self._log_idx, self._transfers, self._internals

        self._sent(sender)
        if recipient == sender:
            batch.account_transactions.append((sender, number, idx, _SELF))
        else:
            batch.account_transactions.append((sender, number, idx, _OUT))
            if recipient is not None:
                batch.account_transactions.append((recipient, number, idx, _IN))
                batch.accounts.touch(recipient, number).transactions += 1
        if to is None and receipt.get("contractAddress") is not None:
            created = ids[bytes.fromhex(receipt["contractAddress"][2:])]
            if created != sender:
                batch.account_transactions.append((created, number, idx, _CREATED))
                batch.accounts.touch(created, number).transactions += 1
            if status:
                self._create(created, sender, idx)
        if receipt["logs"]:
            self._logs(idx, receipt["logs"])
        revert = None
        if tree is not None:
            self._calls(idx, tree)
            if not status:
                revert = bytes.fromhex((tree.get("output") or "0x")[2:])[:REVERT_BYTES_MAX]
        if not status:
            self._failed += 1
        if data != "0x":
            batch.transaction_inputs.append((number, idx, bytes.fromhex(data[2:])))
        cumulative += gas_used
        batch.transactions.append(
            (
                number,
                idx,
                _hash(transaction["hash"]),
                sender,
                recipient,
                created,
                _integer(transaction["nonce"]),
                int(transaction["value"], 16).to_bytes(32, "big"),
                bytes.fromhex(data[2:10]) if recipient is not None and len(data) >= 10 else None,
                _integer(transaction["type"]),
                status,
                _integer(transaction["gas"]),
                gas_used,
                cumulative,
                price.to_bytes(32, "big"),
                self._log_idx - logs_before,
                self._transfers - transfers_before,
                self._internals - internals_before,
                revert,
            )
        )
        return cumulative

    def _sent(self, sender: int) -> None:
        change = self._batch.accounts.touch(sender, self._number)
        change.transactions += 1
        hour = self._timestamp // HOUR_S
        if change.active_hour != hour:
            self._active += 1
            if change.active_hour // 24 != hour // 24:
                self._active_today += 1
            change.active_hour = hour

    def _create(self, created: int, creator: int, idx: int) -> None:
        change = self._batch.accounts.touch(created, self._number)
        change.is_contract = True
        change.creator_id, change.creation_number, change.creation_idx = creator, self._number, idx
        self._created += 1
        self._batch.created[created] = self._number

    def _logs(self, tx_idx: int, logs: list[Any]) -> None:
        batch, number, ids = self._batch, self._number, self._ids
        for log in logs:
            account = ids[bytes.fromhex(log["address"][2:])]
            change = batch.accounts.touch(account, number)
            change.logs += 1
            change.is_contract = True
            topics = log["topics"]
            words = [_hash(topic) for topic in topics]
            if len(words) > 4:
                raise ValueError("a log with more than four topics")
            words += [None] * (4 - len(words))  # type: ignore[list-item]
            data = log["data"]
            batch.logs.append((number, self._log_idx, tx_idx, account, *words, bytes.fromhex(data[2:])))
            moves = batch.moves_of_logs.get(id(log))
            if moves:
                self._moves(tx_idx, account, moves)
            self._log_idx += 1

    def _moves(self, tx_idx: int, token: int, moves: Sequence[events.Move]) -> None:
        batch, number, log_idx = self._batch, self._number, self._log_idx
        for sub_idx, move in enumerate(moves):
            sender, recipient = self._ids[move.sender], self._ids[move.recipient]
            kind = int(move.kind)
            batch.transfers.append(
                (number, log_idx, sub_idx, tx_idx, token, kind, sender, recipient, move.amount, move.ref)
            )
            if sender == recipient:
                batch.account_transfers.append((sender, kind, number, log_idx, sub_idx, _SELF))
            else:
                batch.account_transfers.append((sender, kind, number, log_idx, sub_idx, _OUT))
                batch.account_transfers.append((recipient, kind, number, log_idx, sub_idx, _IN))
                batch.accounts.touch(recipient, number).transfers += 1
            batch.accounts.touch(sender, number).transfers += 1
            batch.moves.append(
                TokenMove(
                    number,
                    token,
                    TokenKind(kind),
                    None if move.sender == _ZERO_ADDRESS else sender,
                    None if move.recipient == _ZERO_ADDRESS else recipient,
                    move.ref or b"",
                    int.from_bytes(move.amount, "big"),
                )
            )
            self._transfers += 1

    def _calls(self, tx_idx: int, tree: dict[str, Any]) -> None:
        batch, number = self._batch, self._number
        for position, (path, call, error) in enumerate(_internal_calls(tree)):
            kind = _INTERNAL.get(call["type"], CallKind.TRANSFER)
            sender = self._ids[_address(call["from"])]
            to = call.get("to")
            recipient = None if to is None else self._ids[_address(to)]
            value = int(call.get("value") or "0x0", 16).to_bytes(32, "big")
            batch.internal_calls.append(
                (number, tx_idx, position, path, int(kind), sender, recipient, value, error)
            )
            batch.accounts.touch(sender, number).internals += 1
            if recipient is None or recipient == sender:
                batch.account_internal_calls.append(
                    (sender, number, tx_idx, position, _OUT if recipient is None else _SELF)
                )
            else:
                batch.account_internal_calls.append((sender, number, tx_idx, position, _OUT))
                batch.account_internal_calls.append(
                    (recipient, number, tx_idx, position, _CREATED if kind in _CREATIONS else _IN)
                )
                batch.accounts.touch(recipient, number).internals += 1
            if kind in _CREATIONS and error is None and recipient is not None:
                self._create(recipient, sender, tx_idx)
            self._internals += 1

    def _withdrawals(self, withdrawals: Any) -> None:
        for idx, withdrawal in enumerate(withdrawals):
            account = self._ids[_address(withdrawal["address"])]
            self._batch.accounts.touch(account, self._number)
            self._batch.withdrawals.append(
                (
                    self._number,
                    idx,
                    account,
                    _integer(withdrawal["validatorIndex"]),
                    _integer(withdrawal["amount"]),
                )
            )


_OUT, _IN, _SELF, _CREATED = (
    int(direction) for direction in (Direction.OUT, Direction.IN, Direction.SELF, Direction.CREATED)
)
_CREATIONS: Final = frozenset({CallKind.CREATE, CallKind.CREATE2})


def _internal_calls(tree: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield the calls below a transaction's own that move value, create or destroy: place, call, and why it was undone."""
    stack = [("", tree, None if tree.get("error") is None else str(tree["error"]))]
    while stack:
        path, call, error = stack.pop()
        if call is not tree and (
            call["type"] in _INTERNAL
            or (call["type"] in {"CALL", "CALLCODE"} and call.get("value") not in _NO_VALUE)
        ):
            yield path[:_PATH_CHARACTERS_MAX], call, error
        for place, child in reversed(list(enumerate(call.get("calls") or ()))):
            own = child.get("error")
            # What an outer call undid is undone, whatever it said itself.
            fate = error if error is not None else None if own is None else str(own)
            stack.append(
                (f"{path}.{place}" if path else str(place), child, fate and fate[:_ERROR_CHARACTERS_MAX])
            )


def _address(text: str) -> bytes:
    value = bytes.fromhex(text[2:])
    if len(value) != 20:
        raise ValueError(f"an address of {len(value)} bytes")
    return value


def _hash(text: str) -> bytes:
    value = bytes.fromhex(text[2:])
    if len(value) != 32:
        raise ValueError(f"a hash of {len(value)} bytes")
    return value


def _integer(text: str) -> int:
    value = int(text, 16)
    if not 0 <= value < 2**63:
        raise Unavailable(f"the node tells a number that no block can hold: {text:.40}")
    return value
