"""Where the decoders' fuzzer begins: real transactions, blocks, receipts and state, drawn as `make fuzz-evm` draws them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.drawing import draw_scenario
from tests.fuzz.playing import opened
from tests.fuzz.scenario import Scenario, Way
from tests.fuzz.transactions import encode

from metanode import _engine
from metanode.primitives import rlp

SCENARIOS: Final = 60
CHUNK_BYTES: Final = 3_000
"""Of state in one seed: the fuzzer's inputs are not longer than some thousand bytes."""
BUILD_S: Final = 30.0
HEADER, RECEIPTS, WITHDRAWALS, BATCH, OWN = range(5)
"""What the first byte of an input of the target `rlp` says (`rust/engine/src/decoders.rs`; our own RLP: `rust/fuzz/targets/own_rlp.rs`)."""
ACCOUNT_BRANCH, STORAGE_BRANCH, ROOT_RECORD, CHANGED_KEYS, SNAPSHOT, TOUCHES, ROOTS = range(7)
"""The same for the target `trie`."""


def write_seeds(directory: Path) -> int:
    """Write a directory of inputs for each target; returns how many there are."""
    count = 0
    for target, data in _seeds():
        path = directory / target / hashlib.sha256(data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        count += 1
    return count


def _seeds() -> Iterator[tuple[str, bytes]]:
    for run in range(SCENARIOS):
        scenario = draw_scenario(1, run)
        raws = [encode(transaction) for block in scenario.blocks for transaction in block.transactions]
        for raw in raws:
            yield "transaction", raw
        yield "rlp", bytes([BATCH]) + rlp.encode(raws[:3])
        yield "rlp", bytes([OWN]) + rlp.encode([b"", [], raws[:1], [b"\x7f", [b"\x80", len(raws) * b"x"]]])
        yield "trie", bytes([ROOTS]) + b"".join(bytes([len(raw[:255])]) + raw[:255] for raw in raws[:9])
        if scenario.way is Way.BUILT and scenario.fork == "Osaka":
            yield from _of_chain(scenario)
    yield from _records()


def _of_chain(scenario: Scenario) -> Iterator[tuple[str, bytes]]:
    with opened(scenario, scenario.fork) as engine:
        timestamp = scenario.timestamp
        for block in scenario.blocks:
            timestamp += block.seconds_after
            engine.submit([encode(transaction) for transaction in block.transactions])
            head = engine.head()
            try:
                built = engine.build(
                    head.hash,
                    timestamp=timestamp,
                    fee_recipient=block.coinbase,
                    prev_randao=block.prev_randao,
                    withdrawals=[(w.index, w.validator, w.address, w.amount_gwei) for w in block.withdrawals],
                    parent_beacon_block_root=block.beacon_root,
                    gas_limit=scenario.gas_limit,
                    extra_data=block.extra_data,
                    deadline_s=BUILD_S,
                )
            except _engine.InvalidBlock:
                return  # a deposit of another layout
            engine.finalize(built.hash)
            yield "block", built.rlp
            whole = rlp.decode(built.rlp)
            assert isinstance(whole, list)
            yield "rlp", bytes([HEADER]) + rlp.encode(whole[0])
            yield "rlp", bytes([OWN]) + rlp.encode(whole[0])
            yield "rlp", bytes([WITHDRAWALS]) + rlp.encode(whole[3])
            receipts = engine.receipts(engine.head().number)
            assert receipts is not None, "the head has receipts"
            yield "rlp", bytes([RECEIPTS]) + receipts
        yield "trie", bytes([SNAPSHOT]) + engine.state_chunk(b"", CHUNK_BYTES)[0]


def _records() -> Iterator[tuple[str, bytes]]:
    """Stored records as `rust/engine/src/trie/record.rs` lays them out."""
    random = Random(1)
    account = b"\x00\x01\x07\x02\x03\xe8"
    for depth in (0, 1, 5, 63):
        key = random.randbytes(32 - (depth + 1) // 2)
        stored = b"\x01" + random.randbytes(32)
        slot = b"\x02" + key + b"\x01\x05"
        below = depth + 1
        extension = b"\x03\x02\x01\x02" + stored
        small = b"\x04\x00\x03" + 2 * (b"\x02" + random.randbytes(32 - (below + 1) // 2) + b"\x01\x05")
        yield "trie", bytes([STORAGE_BRANCH, depth]) + b"\x00\x07" + stored + slot + extension
        yield "trie", bytes([STORAGE_BRANCH, depth]) + b"\x00\x03" + small + slot
        leaf = b"\x02" + key + account + slot
        yield "trie", bytes([ACCOUNT_BRANCH, depth]) + b"\x80\x01" + leaf + stored
    yield "trie", bytes([ROOT_RECORD]) + b"\x02" + random.randbytes(32) + account + b"\x00"
    one, two = random.randbytes(32), random.randbytes(32)
    yield "trie", bytes([CHANGED_KEYS]) + (1).to_bytes(4, "big") + one + two + (1).to_bytes(4, "big") + one
    for count in (1, 4, 20):
        yield "trie", bytes([TOUCHES]) + random.randbytes(4 * count)
