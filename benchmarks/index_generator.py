"""Fills an index with a long chain that never was, for the timings of pages: `python -m benchmarks.index_generator URL [--blocks N] [--transactions N]`.

The rows are what the indexer would have written: ids, feeds, counters and sums agree. Two of three accounts are rare; one is in a tenth of all
transactions, so that its history is long. A tenth of the transactions move a token of one of a hundred contracts, half of which are verified; every fourth
of these moves coins inside, too. Every block is sealed by the validators' keys, so that its certificate holds.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import time
from collections import Counter as Tally
from typing import TYPE_CHECKING, Any, Final

from benchmarks.index_contracts import TRANSFER as TRANSFER_METHOD
from benchmarks.index_contracts import VERIFIED_EACH, contract_row, transfer_input
from metanode.chain.signing import SigningDomain
from metanode.crypto.hashing import keccak256
from metanode.crypto.secp256k1 import PrivateKey
from metanode.primitives.types import Hash32, Height, Round
from sdk.testnet.services.indexer import writing
from sdk.testnet.services.indexer.events import TRANSFER
from sdk.testnet.services.store import CallKind, Counter, Direction, Store, TokenKind, Traces, tables
from sdk.testnet.services.store.meanings import search_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

BLOCKS_IN_A_STEP: Final = 10_000
BLOCK_S: Final = 2
GENESIS_TIME: Final = 1_700_000_000
VALIDATORS: Final = 4
QUORUM: Final = 3
CHAIN_ID: Final = 1337
INTERNAL_EACH: Final = 4
"""Of so many transfers of a token one moves coins inside."""
TOKENS: Final = 100
ACCOUNTS_A_TRANSACTION: Final = 0.25
"""New accounts for each transaction."""
GWEI: Final = 10**9


class Generator:
    """A chain and its index; the same for the same numbers."""

    def __init__(self, *, blocks: int, transactions: int, seed: int = 1) -> None:
        self._blocks = blocks
        self._transactions = transactions
        self._chance = random.Random(seed)
        self._accounts = VALIDATORS + TOKENS + max(100, int(transactions * ACCOUNTS_A_TRANSACTION))
        self._busy = VALIDATORS + TOKENS + 1
        self._counts: dict[str, Tally[int]] = {
            name: Tally() for name in ("transactions", "transfers", "logs", "internals", "proposed", "tokens")
        }
        self._nonces: Tally[int] = Tally()
        self._first: dict[int, int] = {}
        self._last: dict[int, int] = {}
        self._balances: Tally[tuple[int, int]] = Tally()
        self._token_transfers: Tally[int] = Tally()
        self._hours: dict[int, list[int]] = {}
        self._created: dict[int, tuple[int, int, int]] = {}
        """Of a contract who created it, in which transaction: the first one that names it."""
        self._late = self._internals = 0
        self._domain = SigningDomain(chain_id=CHAIN_ID, genesis_hash=Hash32(_hash("consensus", 0)))

    def fill(self, store: Store) -> None:
        """Write everything into an empty index."""
        started = time.monotonic()
        done = 0
        for first in range(0, self._blocks, BLOCKS_IN_A_STEP):
            last = min(self._blocks, first + BLOCKS_IN_A_STEP)
            with store.change() as connection:
                done = self._step(connection, first, last, done)
            print(f"{last:,} blocks, {done:,} transactions, {time.monotonic() - started:.0f} s", flush=True)
        with store.change() as connection:
            self._finish(connection)
            if not store.is_sqlite:
                connection.exec_driver_sql("ANALYZE")

    def _step(self, connection: Connection, first: int, last: int, done: int) -> int:
        rows: dict[str, list[tuple[Any, ...]]] = {
            name: []
            for name in (
                "blocks", "block_seals", "round_skips", "transactions", "account_transactions", "logs",
                "transfers", "account_transfers", "transaction_inputs", "internal_calls", "account_internal_calls",
            )
        }  # fmt: skip
        for number in range(first, last):
            upto = self._transactions * (number + 1) // self._blocks
            self._block(rows, number, upto - done if number else 0)
            done = max(done, upto) if number else done
        for name, found in rows.items():
            writing.insert(connection, tables.metadata.tables[name], found)
        return done

    def _block(self, rows: dict[str, list[tuple[Any, ...]]], number: int, count: int) -> None:
        timestamp = GENESIS_TIME + number * BLOCK_S
        proposer = 1 + number % VALIDATORS
        late = number > 0 and number % 997 == 0
        self._late += late
        self._name(proposer, number)
        self._counts["proposed"][proposer] += 1
        logs, before = 0, len(rows["internal_calls"])
        for idx in range(count):
            logs += self._transaction(rows, number, idx, logs)
        internals = len(rows["internal_calls"]) - before
        if number:
            digest = self._domain.commit(
                height=Height(number),
                round=Round(int(late)),
                block_hash=Hash32(_hash("consensus", number)),
            )
            sealing = (1 + (number + place) % VALIDATORS for place in range(QUORUM))
            rows["block_seals"] += [(number, each, _KEYS[each].sign(digest), True) for each in sealing]
        if late:
            rows["round_skips"].append((number, 0, 1 + (number + 1) % VALIDATORS))
        hour = self._hours.setdefault(timestamp // 3_600 * 3_600, [0, 0, 0, 0])
        for place, added in enumerate((1, count, logs, int(late))):
            hour[place] += added
        gas = 21_000 * count
        rows["blocks"].append(
            (
                number, _hash("block", number), _hash("block", number - 1), _hash("consensus", number), timestamp,
                proposer if number else None, proposer, int(late), int(late), VALIDATORS if number else 0,
                QUORUM if number else 0, 0, number > 0, gas, 60_000_000, _word(7), _word(gas * GWEI), count, 0, logs,
                logs, internals, 0, 600 + 110 * count, int(Traces.INDEXED if logs else Traces.NOT_NEEDED), 0, b"",
                _hash("state", number),
            )
        )  # fmt: skip

    def _transaction(
        self, rows: dict[str, list[tuple[Any, ...]]], number: int, idx: int, log_idx: int
    ) -> int:
        sender = self._busy if self._chance.random() < 0.1 else self._somebody()
        is_token = self._chance.random() < 0.1
        token = VALIDATORS + 1 + self._chance.randrange(TOKENS)
        recipient = token if is_token else self._somebody()
        self._name(sender, number)
        self._name(recipient, number)
        nonce = self._nonces[sender]
        self._nonces[sender] += 1
        internals = 0
        if is_token:
            self._created.setdefault(token, (sender, number, idx))
            internals = int(nonce % INTERNAL_EACH == 0)
        rows["transactions"].append(
            (
                number, idx, _hash("transaction", number * 100_000 + idx), sender, recipient, None, nonce,
                _word(self._chance.randrange(10**20)), TRANSFER_METHOD if is_token else None, 2, 1, 100_000,
                21_000, 21_000 * (idx + 1), _word(GWEI), int(is_token), int(is_token), internals, None,
            )
        )  # fmt: skip
        feed = rows["account_transactions"]
        self._counts["transactions"][sender] += 1
        if sender == recipient:
            feed.append((sender, number, idx, int(Direction.SELF)))
        else:
            feed += [(sender, number, idx, int(Direction.OUT)), (recipient, number, idx, int(Direction.IN))]
            self._counts["transactions"][recipient] += 1
        if not is_token:
            return 0
        receiver = self._somebody()
        if receiver == sender:
            receiver = self._busy if sender != self._busy else self._busy + 1
        self._name(receiver, number)
        amount = 1 + self._chance.randrange(10**6)
        rows["transaction_inputs"].append(
            (number, idx, transfer_input(_address_word(receiver), _word(amount)))
        )
        if internals:
            rows["internal_calls"].append(
                (number, idx, 0, "0", int(CallKind.TRANSFER), token, receiver, _word(amount), None)
            )
            rows["account_internal_calls"] += [
                (token, number, idx, 0, int(Direction.OUT)),
                (receiver, number, idx, 0, int(Direction.IN)),
            ]
            self._internals += 1
            for who in (token, receiver):
                self._counts["internals"][who] += 1
        words = (TRANSFER, _address_word(sender), _address_word(receiver), None)
        rows["logs"].append((number, log_idx, idx, token, *words, _word(amount)))
        rows["transfers"].append(
            (number, log_idx, 0, idx, token, int(TokenKind.ERC20), sender, receiver, _word(amount), None)
        )
        kind = int(TokenKind.ERC20)
        rows["account_transfers"] += [
            (sender, kind, number, log_idx, 0, int(Direction.OUT)),
            (receiver, kind, number, log_idx, 0, int(Direction.IN)),
        ]
        self._counts["logs"][token] += 1
        for who in (sender, receiver):
            self._counts["transfers"][who] += 1
        self._balances[receiver, token] += amount
        self._token_transfers[token] += 1
        return 1

    def _finish(self, connection: Connection) -> None:
        holdings = sorted(self._balances)
        for account, _ in holdings:
            self._counts["tokens"][account] += 1
        holders = Tally(token for _, token in holdings)
        writing.insert(connection, tables.accounts, list(self._account_rows()))
        writing.insert(
            connection,
            tables.token_balances,
            [(account, token, b"", _word(self._balances[account, token])) for account, token in holdings],
        )
        supply: Tally[int] = Tally()
        for (_, token), amount in self._balances.items():
            supply[token] += amount
        writing.insert(
            connection,
            tables.tokens,
            [
                (
                    token, int(TokenKind.ERC20), f"Token {token}", f"T{token}", 18, self._first[token], count,
                    holders[token], _word(supply[token]), True, 0, search_key(f"Token {token}"), search_key(f"T{token}"),
                )
                for token, count in sorted(self._token_transfers.items())
            ],
        )  # fmt: skip
        last = self._blocks - 1
        # A token that nothing has happened to has no account.
        writing.insert(
            connection,
            tables.contracts,
            [
                contract_row(token, number, GENESIS_TIME + last * BLOCK_S)
                for token, (_, number, _) in sorted(self._created.items())
            ],
        )
        writing.insert(
            connection,
            tables.validators,
            [
                (number, True, 1, last, self._counts["proposed"][number], last * QUORUM // VALIDATORS, last, 0, 0, last, last, None)
                for number in range(1, VALIDATORS + 1)
            ],
        )  # fmt: skip
        writing.insert(
            connection,
            tables.validator_set_changes,
            [(1, number, True) for number in range(1, VALIDATORS + 1)],
        )
        self._write_sums(connection)
        genesis = _hash("block", 0)
        state = (1, CHAIN_ID, genesis, _hash("consensus", 0), last, _hash("block", last), int(time.time()))
        writing.insert(connection, tables.index_state, [(*state, self._accounts + 1, b"")])

    def _account_rows(self) -> Iterator[tuple[Any, ...]]:
        for number in sorted(self._first):
            is_contract = VALIDATORS < number <= VALIDATORS + TOKENS
            name = f"validator-{number}" if number <= VALIDATORS else None
            created = self._created.get(number, (None, None, None))
            yield (
                number, _address(number), is_contract, *created, self._first[number], self._last[number],
                self._counts["transactions"][number], self._counts["transfers"][number], self._counts["internals"][number],
                self._counts["logs"][number], self._counts["proposed"][number], self._counts["tokens"][number], -1, name,
            )  # fmt: skip

    def _write_sums(self, connection: Connection) -> None:
        for table, step in ((tables.stats_hourly, 3_600), (tables.stats_daily, 86_400)):
            sums: dict[int, list[int]] = {}
            for hour, found in self._hours.items():
                into = sums.setdefault(hour // step * step, [0, 0, 0, 0])
                for place, value in enumerate(found):
                    into[place] += value
            rows = [
                (
                    start, count, sent, 0, moved, 0, 0, 0, sent * 21_000, count * 60_000_000, _word(sent * 21_000 * GWEI),
                    _word(7 * count), count * BLOCK_S, late, late,
                )
                for start, (count, sent, moved, late) in sums.items()
            ]  # fmt: skip
            writing.insert(connection, table, rows)
        moved = sum(self._token_transfers.values())
        totals = {
            Counter.TRANSACTIONS: sum(self._nonces.values()),
            Counter.ACCOUNTS: len(self._first),
            Counter.TOKENS: len(self._token_transfers),
            Counter.TRANSFERS: moved,
            Counter.LOGS: moved,
            Counter.INTERNAL_CALLS: self._internals,
            Counter.CONTRACTS: len(self._created),
            Counter.VERIFIED_CONTRACTS: sum(not token % VERIFIED_EACH for token in self._created),
            Counter.LATE_BLOCKS: self._late,
        }
        writing.insert(connection, tables.counters, [(str(name), value) for name, value in totals.items()])

    def _somebody(self) -> int:
        # Squared: a few are in many transactions, most in few.
        return self._busy + int(self._chance.random() ** 2 * (self._accounts - self._busy))

    def _name(self, account: int, number: int) -> None:
        self._first.setdefault(account, number)
        self._last[account] = number


def _hash(kind: str, number: int) -> bytes:
    return hashlib.blake2b(f"{kind} {number}".encode(), digest_size=32).digest()


def _address(number: int) -> bytes:
    key = _KEYS.get(number)
    return keccak256(number.to_bytes(8, "big"))[:20] if key is None else key.address


def _address_word(number: int) -> bytes:
    return bytes(12) + _address(number)


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


_KEYS: Final = {number: PrivateKey(_hash("key", number)) for number in range(1, VALIDATORS + 1)}
"""Of the validators, by their accounts' numbers."""


def main() -> None:
    """Fill the index that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index_generator", description=__doc__)
    parser.add_argument("url", help="sqlite:///PATH or postgresql://USER@HOST/NAME of an empty database")
    parser.add_argument("--blocks", type=int, default=1_000_000)
    parser.add_argument("--transactions", type=int, default=2_000_000)
    arguments = parser.parse_args()
    store = Store(arguments.url)
    Generator(blocks=arguments.blocks, transactions=arguments.transactions).fill(store)
    store.close()


if __name__ == "__main__":
    main()
