"""node.db gives back what was saved, whole or not at all, after any end."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metanode.chain.block import Block
from metanode.chain.voting import Vote
from metanode.consensus.evidence import Evidence, Statement
from metanode.consensus.fork import Fork
from metanode.consensus.messages import Step
from metanode.errors import InvalidGenesis, StorageDamaged, StorageFailed
from metanode.primitives import rlp
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.storage import node_store
from metanode.storage.node_store import EVIDENCE_KEPT, HEARD_KEPT


def body_of(block: Block) -> tuple[Height, Any, bytes]:
    return block.height, block.hash, block.encode()


def test_a_new_store_begins_at_genesis(open_store: Callable[..., Any], genesis: Any) -> None:
    stored = asyncio.run(open_store().load())
    assert (stored.header, stored.state) == (genesis.header, genesis.state)
    assert (stored.certificate, stored.record, stored.bodies) == (None, None, ())


def test_a_decision_is_found_after_a_restart(open_store: Callable[..., Any], decisions: Any) -> None:
    store = open_store()
    for height in range(1, 6):
        decided = decisions.decide(decisions.propose())
        asyncio.run(store.save(record=b"record %d" % height, bodies=[], decided=decided))
    stored = asyncio.run(open_store().load())
    assert stored.header == decisions.parent
    assert (stored.state, stored.state.root) == (decisions.state, decisions.state.root)
    assert stored.certificate == decisions.certificate
    assert (stored.record, stored.bodies) == (b"record 5", ())


def test_bodies_of_an_open_height_come_back_in_order_and_go_with_its_decision(
    open_store: Callable[..., Any], decisions: Any
) -> None:
    store = open_store()
    first, second = decisions.propose(), decisions.propose(round=1)
    asyncio.run(store.save(record=b"1", bodies=[body_of(first)], decided=None))
    asyncio.run(store.save(record=b"2", bodies=[body_of(second), body_of(first)], decided=None))
    store = open_store()
    assert asyncio.run(store.load()).bodies == (first.encode(), second.encode())
    assert asyncio.run(store.body(second.hash)) == second.encode()
    asyncio.run(store.save(record=b"3", bodies=[], decided=decisions.decide(first)))
    assert asyncio.run(store.load()).bodies == ()
    assert asyncio.run(store.body(second.hash)) is None
    assert asyncio.run(store.body(first.hash)) == first.encode()
    assert asyncio.run(store.block(Height(1))) == first


def test_the_childs_certificate_replaces_the_local_one(
    open_store: Callable[..., Any], decisions: Any
) -> None:
    store = open_store()
    decided = decisions.decide(decisions.propose(), seals=3)
    asyncio.run(store.save(record=b"", bodies=[], decided=decided))
    assert asyncio.run(store.certificate(Height(1))) == decided.certificate
    decisions.certificate = fuller = decisions.certify(decided.block, seals=4)
    asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(decisions.propose())))
    assert asyncio.run(store.certificate(Height(1))) == fuller != decided.certificate


def test_saving_a_decision_again_changes_nothing(open_store: Callable[..., Any], decisions: Any) -> None:
    store = open_store()
    decided = decisions.decide(decisions.propose())
    for _ in range(2):
        asyncio.run(store.save(record=b"r", bodies=[], decided=decided))
    assert asyncio.run(store.load()).header == decided.block.header


def test_another_hash_at_a_decided_height_stops_with_both(
    open_store: Callable[..., Any], decisions: Any, genesis: Any
) -> None:
    store = open_store()
    other = type(decisions)(genesis)
    one = decisions.decide(decisions.propose())
    two = other.decide(other.propose(requests=(b"\1x",)))
    asyncio.run(store.save(record=b"good", bodies=[], decided=one))
    with pytest.raises(StorageDamaged, match=f"0x{one.block.hash.hex()}.*0x{two.block.hash.hex()}"):
        asyncio.run(store.save(record=b"bad", bodies=[], decided=two))
    stored = asyncio.run(store.load())
    assert (stored.header, stored.record) == (one.block.header, b"good"), (
        "a refused write leaves all as it was"
    )


def test_a_gap_is_refused(open_store: Callable[..., Any], decisions: Any) -> None:
    store = open_store()
    decisions.decide(decisions.propose())
    with pytest.raises(StorageDamaged, match="height 2 does not follow"):
        asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(decisions.propose())))
    assert asyncio.run(store.load()).header.height == 0


def test_old_payloads_go_and_all_else_stays(
    open_store: Callable[..., Any], decisions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_store, "PAYLOADS_KEPT", 3)
    store = open_store()
    blocks = []
    for height in range(1, 8):
        block = decisions.propose(requests=(b"\1request %d" % height,) if height % 2 else ())
        blocks.append(block)
        asyncio.run(store.save(record=b"", bodies=[body_of(block)], decided=decisions.decide(block)))
    kept = [height for height in range(1, 8) if asyncio.run(store.block(Height(height))) is not None]
    assert kept == [5, 6, 7]
    for block in blocks:
        assert asyncio.run(store.header(block.height)) == block.header
        assert asyncio.run(store.requests(block.height)) == block.requests
        assert asyncio.run(store.old_block(block.height, block.execution_rlp)) == block.encode()
        assert asyncio.run(store.certificate(block.height)).block_hash == block.hash
    heights = asyncio.run(store.heights(Height(0), 100, bytes_max=1 << 20))
    assert [entry.header.height for entry in heights] == list(range(1, 8))
    assert [entry.block is not None for entry in heights] == [False] * 4 + [True] * 3
    assert asyncio.run(store.old_block(Height(9), b"")) is None
    assert asyncio.run(store.requests(Height(9))) is None


def test_ranges_end_by_count_by_bytes_and_at_the_tip(open_store: Callable[..., Any], decisions: Any) -> None:
    store = open_store()
    for _ in range(5):
        asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(decisions.propose())))

    def lengths(first: int, count: int, bytes_max: int) -> int:
        return len(asyncio.run(store.heights(Height(first), count, bytes_max=bytes_max)))

    assert lengths(2, 2, 1 << 20) == 2
    assert lengths(2, 100, 1 << 20) == 4
    assert lengths(1, 100, 1) == 1
    assert lengths(6, 100, 1 << 20) == 0


def test_heights_are_found_by_execution_hash_and_sets_by_height(
    open_store: Callable[..., Any], decisions: Any, keys: Any
) -> None:
    store = open_store()
    for _ in range(4):
        vote = Vote(subject=keys[4].address, add=True) if len(decisions.state.validators) == 4 else None
        asyncio.run(store.save(record=b"", bodies=[], decided=decisions.decide(decisions.propose(vote=vote))))
    assert asyncio.run(store.height_of(decisions.parent.execution_hash)) == 4
    assert asyncio.run(store.height_of(decisions.genesis.header.execution_hash)) == 0
    assert asyncio.run(store.height_of(decisions.parent.hash)) is None
    sizes = [len(found) if (found := asyncio.run(store.validators(Height(h)))) else None for h in range(7)]
    assert sizes == [4, 4, 4, 4, 5, 5, None]


def proof(author: Address, height: int, round_: int = 0) -> Evidence:
    first, second = (
        Statement(
            step=Step.PREPARE, round=Round(round_), block_hash=Hash32(bytes([n]) * 32), signature=bytes(65)
        )
        for n in (1, 2)
    )
    return Evidence(height=Height(height), author=author, first=first, second=second)


def test_evidence_is_kept_once(open_store: Callable[..., Any], keys: Any) -> None:
    store, author = open_store(), keys[0].address
    for height in (3, 3, 9):
        asyncio.run(store.save_evidence(proof(author, height)))
    assert asyncio.run(open_store().evidence()) == [proof(author, 9), proof(author, 3)]


def test_evidence_against_one_validator_is_bounded_and_leaves_room_for_others(
    open_store: Callable[..., Any], keys: Any
) -> None:
    store = open_store()
    for round_ in range(EVIDENCE_KEPT + 3):
        asyncio.run(store.save_evidence(proof(keys[0].address, 1, round_)))
    asyncio.run(store.save_evidence(proof(keys[1].address, 1)))
    found = asyncio.run(store.evidence(limit=2 * EVIDENCE_KEPT))
    assert sum(evidence.author == keys[0].address for evidence in found) == EVIDENCE_KEPT
    assert sum(evidence.author == keys[1].address for evidence in found) == 1


def heard(author: Address, round_: int = 0) -> tuple[tuple[Address, Statement], bytes]:
    """A statement by an author, and the bytes of a height at which nothing else was heard."""
    statement = proof(author, 1, round_).first
    return (author, statement), rlp.encode([[author, [statement.to_item()]]])


def test_what_was_heard_of_a_height_is_replaced_and_old_heights_go(
    open_store: Callable[..., Any], keys: Any
) -> None:
    store = open_store()
    (one, one_bytes), (other, other_bytes) = (heard(keys[n].address, n) for n in (0, 1))
    asyncio.run(store.save_heard([(Height(1), one_bytes), (Height(2), one_bytes)]))
    asyncio.run(store.save_heard([(Height(2), other_bytes)]))
    again = open_store()
    found = [asyncio.run(again.heard(Height(height))) for height in (1, 2, 3)]
    assert found == [(one,), (other,), ()]
    assert asyncio.run(again.load()).heard == ((Height(1), (one,)), (Height(2), (other,)))
    asyncio.run(again.save_heard([(Height(1 + HEARD_KEPT), one_bytes)]))
    assert asyncio.run(again.heard(Height(1))) == ()
    assert asyncio.run(again.heard(Height(2))) == (other,)


def test_a_file_of_the_versions_before_is_taken_over_without_evidence_of_another_form(
    open_store: Callable[..., Any], keys: Any
) -> None:
    store = open_store()
    asyncio.run(store.save_evidence(proof(keys[0].address, 1)))
    path = store._path
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE heard; PRAGMA user_version = 2")
    again = open_store()
    assert asyncio.run(again.evidence()) == []
    assert asyncio.run(again.heard(Height(1))) == ()


def test_pins_and_records_survive(open_store: Callable[..., Any]) -> None:
    store = open_store()
    assert asyncio.run(store.load_pin("host:1")) is None
    asyncio.run(store.save_pin("host:1", b"a" * 64))
    asyncio.run(store.save_pin("host:1", b"b" * 64))
    asyncio.run(store.save_record(b"x" * 20, b"old"))
    asyncio.run(store.save_record(b"x" * 20, b"new"))
    store = open_store()
    assert asyncio.run(store.load_pin("host:1")) == b"b" * 64
    assert asyncio.run(store.load_records()) == [b"new"]
    assert asyncio.run(store.forget_pin("host:1"))
    assert not asyncio.run(store.forget_pin("host:1"))


def test_another_networks_store_is_refused_with_both_hashes(
    open_store: Callable[..., Any], genesis: Any, other_network: Any
) -> None:
    open_store()
    with pytest.raises(
        InvalidGenesis,
        match=f"0x{genesis.hash.hex()} and the chain id 1337; .* 0x{other_network.hash.hex()} and 1338",
    ):
        open_store(genesis=other_network)


def test_files_that_are_none_of_ours_are_refused(open_store: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "data" / "node.db"
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageDamaged, match=r"node\.db"):
        open_store()
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(StorageDamaged, match="none of a Metanode node"):
        open_store()


def test_a_newer_schema_is_refused(open_store: Callable[..., Any], tmp_path: Path) -> None:
    open_store().close()
    connection = sqlite3.connect(tmp_path / "data" / "node.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageFailed, match="schema 99"):
        open_store()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE headers SET header = x'c0'",
        "UPDATE certificates SET certificate = x'c0'",
        "UPDATE current SET value = x'c0'",
        "DELETE FROM certificates",
        "DELETE FROM current",
    ],
)
def test_rows_that_cannot_be_read_are_damage(
    open_store: Callable[..., Any], decisions: Any, tmp_path: Path, statement: str
) -> None:
    asyncio.run(open_store().save(record=b"", bodies=[], decided=decisions.decide(decisions.propose())))
    open_store().close()
    connection = sqlite3.connect(tmp_path / "data" / "node.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(StorageDamaged, match=r"node\.db"):
        asyncio.run(open_store().load())


def test_the_commit_waits_for_the_disk(open_store: Callable[..., Any]) -> None:
    database = open_store()._database

    def ask(connection: sqlite3.Connection) -> tuple[int, str]:
        return connection.execute("PRAGMA synchronous").fetchone()[0], connection.execute(
            "PRAGMA journal_mode"
        ).fetchone()[0]

    assert asyncio.run(database.read(ask)) == (2, "wal"), "2 is FULL"


def test_writes_are_in_order_and_off_the_loop(open_store: Callable[..., Any]) -> None:
    async def run() -> list[str]:
        store = open_store()
        loop_thread = __import__("threading").current_thread().name
        names: list[str] = []

        def note(_: sqlite3.Connection, index: int) -> None:
            names.append(f"{__import__('threading').current_thread().name} {index}")

        async with asyncio.TaskGroup() as group:
            for index in range(20):
                group.create_task(store._database.write(lambda c, index=index: note(c, index)))
        assert all(loop_thread not in name for name in names)
        return names

    assert asyncio.run(run()) == [f"storage_0 {index}" for index in range(20)]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import conftest
from metanode.storage.node_store import NodeStore

async def main() -> None:
    genesis = conftest.make_network()
    decisions = conftest.Decisions(genesis)
    store = NodeStore.open(Path(sys.argv[1]), genesis)
    for height in range(1, 1000):
        await store.save(record=b"%d" % height, bodies=[], decided=decisions.decide(decisions.propose()))
        print(height, flush=True)

asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_told(open_store: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "data" / "node.db"
    command = [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        told = 0
        for line in process.stdout:
            told = int(line)
            if told == 7:
                process.send_signal(signal.SIGKILL)
        process.wait()
    stored = asyncio.run(open_store().load())
    assert stored.header.height >= told >= 7
    assert stored.record == b"%d" % stored.header.height
    assert stored.state.height == stored.header.height


def test_a_fork_is_kept_over_lives_the_first_one_only_until_it_is_set_aside(
    open_store: Callable[..., Any], decisions: Any
) -> None:
    store, validators = open_store(), decisions.state.validators
    block, twin, third = (decisions.propose(round=round_) for round_ in range(3))
    fork = Fork(validators=validators, ours=decisions.certify(block), other=decisions.certify(twin))
    later = Fork(validators=validators, ours=decisions.certify(block), other=decisions.certify(third))
    asyncio.run(store.save(record=b"1", bodies=[], decided=decisions.decide(block)))
    assert asyncio.run(store.load()).fork is None
    asyncio.run(store.save_fork(fork))
    asyncio.run(store.save_fork(later))
    store = open_store()
    assert asyncio.run(store.load()).fork == fork
    asyncio.run(store.forget_fork())
    assert asyncio.run(open_store().load()).fork is None
