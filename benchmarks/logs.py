"""How long `eth_getLogs` searches 1,000 blocks of a chain of 100,000 logs, by the engine's own answer, on a disk.

Every block has 100 logs: 89 of a busy contract, ten of another, one of a third, and in every fiftieth block one of a fourth. Asked for are
all blocks at once, for an address that is in each, in one of fifty, and in none, for two addresses, and for one whose logs in these blocks
are as many as an answer may have; first by an engine that was opened just now, then by one that has been asked before.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eth_account import Account

from benchmarks.report import Figure
from metanode import _engine
from metanode.chain.genesis import make_genesis
from metanode.chain.validators import Validator, ValidatorSet
from metanode.primitives.types import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS: Final = 1_000
LOGS_IN_A_BLOCK: Final = 100
RARE_EVERY_BLOCKS: Final = 50
ROUNDS_WARM: Final = 20
CHAIN_ID: Final = 1337
SENDER: Final = Account.from_key(b"\x11" * 32)
EMITTER_CODE: Final = "0x5f355b801560155760aa60205fa1600190036002565b00"
"""Emits as many logs with topic 0xaa as its argument says."""
BUSY, TENTH, STEADY, RARE, ABSENT = (f"0x{n:040x}" for n in (0xE0001, 0xE0005, 0xE0002, 0xE0003, 0xE0004))
TARGET_MS: Final = 20


@dataclass(frozen=True)
class Query:
    """A search over the whole chain."""

    addresses: tuple[str, ...]
    what: str
    logs: int


QUERIES: Final = (
    Query((STEADY,), "a log in every block", BLOCKS),
    Query((TENTH,), "ten logs in every block, an answer's limit", 10 * BLOCKS),
    Query((RARE,), f"a log in one block of {RARE_EVERY_BLOCKS}", BLOCKS // RARE_EVERY_BLOCKS),
    Query((STEADY, RARE), "these two addresses", BLOCKS + BLOCKS // RARE_EVERY_BLOCKS),
    Query((ABSENT,), "no log", 0),
)


def measure(rounds: int) -> Iterator[Figure]:
    """The figures of `python -m benchmarks logs`."""
    with tempfile.TemporaryDirectory(prefix="metanode-logs-") as directory:
        path = Path(directory) / "engine"
        build_chain(path)
        for query in QUERIES:
            cold: list[float] = []
            warm: list[float] = []
            for _ in range(rounds):
                engine = open_engine(path)
                try:
                    cold.append(search_ms(engine, query))
                    warm.extend(search_ms(engine, query) for _ in range(ROUNDS_WARM))
                finally:
                    engine.close()
            for state, times in (("just opened", cold), ("asked before", warm)):
                yield Figure(
                    f"eth_getLogs, {BLOCKS:,} blocks, {query.what}, {state}, ms",
                    "metanode",
                    statistics.median(times),
                    min(times),
                    max(times),
                    f"< {TARGET_MS}",
                )


def search_ms(engine: _engine.Engine, query: Query) -> float:
    """Ask once; the answer is checked."""
    request = json.dumps(
        [{"fromBlock": "0x1", "toBlock": hex(BLOCKS), "address": list(query.addresses)}]
    ).encode()
    start = time.perf_counter()
    answer = engine.rpc("eth_getLogs", request)
    taken_ms = (time.perf_counter() - start) * 1_000
    found = json.loads(b"{" + answer + b"}")["result"]
    assert len(found) == query.logs, (query, len(found))
    return taken_ms


def genesis() -> bytes:
    """A chain with an account and the contracts."""
    content = make_genesis(
        network_name="logs",
        chain_id=CHAIN_ID,
        genesis_time=1_700_000_000,
        validators=ValidatorSet((Validator(address=Address(b"\x0f" * 20)),)),
        balances={Address(bytes.fromhex(SENDER.address[2:])): 10**24},
    )
    for address in (BUSY, TENTH, STEADY, RARE, ABSENT):
        content["alloc"][address] = {"balance": "0x0", "code": EMITTER_CODE}
    return json.dumps(content).encode()


def open_engine(path: Path) -> _engine.Engine:
    """The engine as a node opens it."""
    return _engine.Engine.open(genesis(), path=str(path), sync_every_blocks=64)


def build_chain(path: Path) -> None:
    """Decide the blocks."""
    engine = open_engine(path)
    nonce = 0
    try:
        for number in range(1, BLOCKS + 1):
            counts = {BUSY: LOGS_IN_A_BLOCK - 11, TENTH: 10, STEADY: 1}
            if number % RARE_EVERY_BLOCKS == 0:
                counts = {BUSY: LOGS_IN_A_BLOCK - 12, TENTH: 10, STEADY: 1, RARE: 1}
            for address, count in counts.items():
                engine.add_transaction(emission(address, count, nonce))
                nonce += 1
            head = engine.head()
            built = engine.build(
                head.hash,
                timestamp=head.timestamp + 2,
                fee_recipient=b"\x0f" * 20,
                prev_randao=b"\x0a" * 32,
                withdrawals=[],
                parent_beacon_block_root=b"\x0b" * 32,
                gas_limit=60_000_000,
                extra_data=b"",
                deadline_s=10.0,
            )
            assert built.transactions == len(counts)
            engine.finalize(built.hash)
    finally:
        engine.close()


def emission(address: str, count: int, nonce: int) -> bytes:
    """A signed transaction that makes a contract emit so many logs."""
    signed = SENDER.sign_transaction(
        {
            "chainId": CHAIN_ID,
            "nonce": nonce,
            "gas": 500_000,
            "maxFeePerGas": 100 * 10**9,
            "maxPriorityFeePerGas": 10**9,
            "to": bytes.fromhex(address[2:]),
            "value": 0,
            "data": f"0x{count:064x}",
        }
    )
    return bytes(signed.raw_transaction)
