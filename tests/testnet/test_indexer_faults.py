"""What stops an indexer, and what is there afterwards: kills, other chains, databases and nodes that go away."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import false, select
from tests.acceptance.processes import slowness
from tests.testnet.index_chain import Chain, call_of
from tests.testnet.index_database import DATABASES, index_database
from tests.testnet.index_runs import contents, index_to, running, unprobed, wait_until
from tests.testnet.postgresql import PostgreSQLAbsent, running_postgresql

from metanode.errors import InvalidInput
from sdk.testnet import Testnet
from sdk.testnet.services.indexer import Indexer, IndexerConfig
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import blocks, transactions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

KILLS = 20
TRANSFERS_A_BLOCK = 15
"""A block takes long enough that a kill comes within it as well as between two."""
SHARE_OF_LIVES = 2 / 3
"""Of the chain: what is left is for the last one, and for those that were fast."""
COUNTED = (
    "counters",
    "accounts",
    "token_balances",
    "stats_hourly",
    "stats_daily",
    "validators",
    "block_seals",
)
"""What would be there twice, or summed up twice, if a block was."""
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def halted() -> Iterator[tuple[str, int]]:
    """The URL of a node whose chain moves no more, and its head: two indexes of it can be compared."""
    with (
        Testnet(validators=4, block_time_s=1, in_memory=True) as net,
        Chain(net.rpc_url, net.accounts[1]) as chain,
    ):
        payer = chain.speaker(b"Payer", "PAY", 18, value=10**6)
        number = 0
        while number < 2 * KILLS + 5:
            for _ in range(TRANSFERS_A_BLOCK):
                chain.send(to="0x" + os.urandom(20).hex(), value=1)
            receipt = chain.do(to=payer, data=call_of("pay(address,uint256)", "0x" + os.urandom(20).hex(), 1))
            number = int(receipt["blockNumber"], 16)
        net.node(2).kill()
        net.node(3).kill()
        yield net.rpc_url, chain.halted_head()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", DATABASES)
def test_killed_twenty_times_it_has_no_gap_and_nothing_twice(
    kind: str, halted: tuple[str, int], tmp_path: Path
) -> None:
    url, head = halted
    with index_database(kind, tmp_path) as database:
        _kill_often([sys.executable, "-m", "tests.testnet.index_process", url, database], database, head)
        store = Store(database)
        asyncio.run(index_to(store, url, head))
        survived = contents(store)
        store.close()
    _is_as_undisturbed(survived, url, head, tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", DATABASES)
def test_services_killed_twenty_times_while_they_catch_up_have_no_gap_and_nothing_twice(
    kind: str, halted: tuple[str, int], tmp_path: Path
) -> None:
    """The program itself, with all its sites; the last life brings the index to the head."""
    url, head = halted
    with index_database(kind, tmp_path) as database:
        config = tmp_path / "services.toml"
        where = "" if kind == "sqlite" else f'postgres_url = "{database}"'
        config.write_text(
            f'[network]\nnetwork_id = "halted"\nchain_id = 1337\nrpc_urls = ["{url}"]\n[database]\n{where}\n'
            "[explorer]\nport = 0\n[api]\nport = 0\n"
        )
        command = [sys.executable, "-m", "tests.testnet.services_process", str(config)]
        _kill_often(command, database, head)
        store = Store(database)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as last:
            try:
                deadline = time.monotonic() + DEADLINE_S * slowness()
                while _head(database) < head or unprobed(store):
                    assert time.monotonic() < deadline, "the last life does not get to the head"
                    time.sleep(0.1)
            finally:
                last.send_signal(signal.SIGTERM)
                last.wait(20)
        survived = contents(store)
        store.close()
    _is_as_undisturbed(survived, url, head, tmp_path)


def _kill_often(command: list[str], database: str, head: int) -> None:
    """Start a program that tells a line for each block which it has indexed, and kill it, `KILLS` times: each life has a block at least."""
    chance = random.Random(4711)
    reached = -1
    for life in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, f"life {life} said nothing"
            assert int(first) == reached + 1, "it goes on where the index ends"
            # Somewhere in the transactions that follow; at once where the lives so far have used more than their share of the chain.
            if reached < life * SHARE_OF_LIVES * head / KILLS:
                time.sleep(chance.uniform(0, 0.02))
            os.kill(process.pid, signal.SIGKILL)
            said = [int(line) for line in process.stdout]
        reached = _head(database)
        assert reached >= max([int(first), *said]), "what was told is there"
        if reached >= head - 1:
            pytest.fail(f"life {life} reached the head: the chain is too short to be killed {KILLS} times")


def _is_as_undisturbed(
    survived: dict[str, list[tuple[Any, ...]]], url: str, head: int, tmp_path: Path
) -> None:
    """Compare an index with one of the same chain whose indexer nobody killed."""
    whole = tmp_path / "whole"
    whole.mkdir()
    with index_database("sqlite", whole) as database:
        store = Store(database)
        asyncio.run(index_to(store, url, head))
        undisturbed = contents(store)
        store.close()

    assert [row[0] for row in survived["blocks"]] == list(range(head + 1))
    for table, rows in undisturbed.items():
        assert survived[table] == rows, table


@pytest.mark.parametrize("kind", DATABASES)
def test_two_indexers_of_one_database_write_every_block_once(
    kind: str, halted: tuple[str, int], tmp_path: Path
) -> None:
    url, head = halted

    async def both(first: Store, second: Store) -> None:
        async with running(first, url) as one, running(second, url) as other:
            await wait_until(
                lambda: one.status.indexed == other.status.indexed == head,
                lambda: (one.status, other.status),
            )

    with index_database(kind, tmp_path) as database:
        first, second = Store(database), Store(database)
        asyncio.run(both(first, second))
        found = contents(first)
        first.close()
        second.close()
    alone = tmp_path / "alone"
    alone.mkdir()
    store = Store(f"sqlite:///{alone}/index.db")
    asyncio.run(index_to(store, url, head))
    undisturbed = contents(store)
    store.close()

    assert [row[0] for row in found["blocks"]] == list(range(head + 1))
    for table in COUNTED:
        assert found[table] == undisturbed[table], table


def test_an_index_of_another_chain_is_refused_with_what_to_do(
    halted: tuple[str, int], tmp_path: Path
) -> None:
    url, _ = halted
    store = Store(f"sqlite:///{tmp_path}/index.db")
    asyncio.run(index_to(store, url, 3))
    before = contents(store)

    async def meet(other: str) -> None:
        indexer = Indexer(store, IndexerConfig(rpc_urls=(other,)))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await indexer.run()
        finally:
            assert indexer.status.state == "refused"

    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        pytest.raises(
            InvalidInput, match=r"of another chain.*genesis 0x.*name an empty database.*delete this one"
        ),
    ):
        asyncio.run(meet(net.rpc_url))
    assert contents(store) == before
    store.close()


def test_it_recovers_alone_when_the_database_was_restarted(halted: tuple[str, int]) -> None:
    url, head = halted
    try:
        with running_postgresql() as server:
            store = Store(server.url)

            async def story() -> None:
                async with running(store, url, poll_interval_s=0.05) as indexer:
                    await wait_until(lambda: indexer.status.state == "live", lambda: indexer.status)
                    await asyncio.to_thread(server.stop)
                    # Blocks are asked for again, as if the index had none.
                    await wait_until(
                        lambda: indexer.status.state == "database unavailable", lambda: indexer.status
                    )
                    assert indexer.status.trouble
                    await asyncio.to_thread(server.start)
                    await wait_until(lambda: indexer.status.state == "live", lambda: indexer.status)

            asyncio.run(story())
            assert [row[0] for row in contents(store)["blocks"]] == list(range(head + 1))
            store.close()
    except PostgreSQLAbsent as absent:
        pytest.skip(str(absent))


def test_it_goes_on_with_the_next_node_and_recovers_alone_when_none_is_left(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    with Testnet(validators=4, block_time_s=1, in_memory=True) as net:
        nodes = {node.rpc_url: node for node in net.nodes[:2]}

        async def story() -> None:
            async with running(store, *nodes) as indexer:
                await wait_until(lambda: indexer.status.state == "live", lambda: indexer.status)
                followed = nodes[indexer.status.rpc_url or ""]
                (other,) = [node for node in nodes.values() if node.rpc_url != followed.rpc_url]
                await asyncio.to_thread(followed.kill)
                reached = indexer.status.indexed or 0
                await wait_until(lambda: (indexer.status.indexed or 0) > reached + 1, lambda: indexer.status)
                assert indexer.status.rpc_url == other.rpc_url
                await asyncio.to_thread(other.kill)
                await wait_until(
                    lambda: "does not answer" in (indexer.status.trouble or ""), lambda: indexer.status
                )
                assert indexer.status.state == "node unavailable"
                await asyncio.to_thread(other.start)
                await asyncio.to_thread(followed.start)
                reached = indexer.status.indexed or 0
                await wait_until(
                    lambda: indexer.status.state == "live" and (indexer.status.indexed or 0) > reached,
                    lambda: indexer.status,
                )

        asyncio.run(story())
        _is_whole(store)
    store.close()


def test_a_websocket_brings_each_block_at_once(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    with Testnet(validators=1, block_time_s=1, in_memory=True) as net:

        async def story() -> None:
            # Nothing is asked for on its own in this time.
            async with running(store, net.rpc_url, poll_interval_s=60) as indexer:
                await wait_until(lambda: indexer.status.state == "live", lambda: indexer.status)
                reached = indexer.status.indexed or 0
                await wait_until(lambda: (indexer.status.indexed or 0) >= reached + 3, lambda: indexer.status)

        asyncio.run(story())
    _is_whole(store)
    store.close()


def _head(database: str) -> int:
    store = Store(database)
    with store.look() as connection:
        found = connection.execute(select(blocks.c.number).order_by(blocks.c.number.desc()).limit(1)).scalar()
    store.close()
    return -1 if found is None else found


def _is_whole(store: Store) -> None:
    with store.look() as connection:
        numbers = [row[0] for row in connection.execute(select(blocks.c.number).order_by(blocks.c.number))]
        of_transactions = {row[0] for row in connection.execute(select(transactions.c.number))}
        undecided = [
            row[0]
            for row in connection.execute(
                select(blocks.c.number)
                .where((blocks.c.is_canonical == false()) | blocks.c.consensus_hash.is_(None))
                .order_by(blocks.c.number)
            )
        ]
    assert numbers == list(range(len(numbers)))
    assert of_transactions <= set(numbers)
    # What decided the newest block is certain with the next; genesis was decided by nobody.
    assert undecided == [0, numbers[-1]]
