"""How a local network is looked at and asked: by hand or by a supervisor, on a busy machine, with what logs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.diagnosis.test_reading import ADDRESS, EVIDENCE, STATE

from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.diagnosis import collect
from sdk.testnet.diagnosis.facts import NodeFacts, ProcessFacts, Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

STARTING = "2026-11-22T00:25:50Z [info     ] node_starting                chain_id=1337"
REFUSED = "2026-11-22T00:25:50Z [warning  ] peer_dial_failed             error='Connection refused'"
FAILED = "2026-11-22T00:25:50Z [error    ] node_failed                  reason='the disk is full'"
SENTENCE = "error: /net/nodes/validator-1/data/signer.log: belongs to the key 0xac"


class Client:
    """Answers as a node does, and writes down who was asked."""

    def __init__(self, url: str, asked: list[str]) -> None:
        self.url, self.asked = url, asked

    async def call(self, method: str) -> Any:
        self.asked.append(f"{self.url.rpartition(':')[0]} {method}")
        raise NodeUnreachable("nobody listens")

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        assert len(calls) == 4
        self.asked.append(self.url)
        return ["Metanode/1", STATE, EVIDENCE, {ADDRESS.upper().replace("X", "x"): True}]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of whom, in order."""
    found: list[str] = []

    @contextlib.asynccontextmanager
    async def open_client(url: str, **_: Any) -> AsyncIterator[Client]:
        yield Client(url, found)

    monkeypatch.setattr(collect, "open_client", open_client)
    return found


def local_node(*, trouble: Trouble | None, key: str | None = ADDRESS) -> NodeFacts:
    return NodeFacts(
        name="validator-1",
        url="http://validator-1",
        role="validator",
        key=key,
        home="/net/nodes/validator-1",
        trouble=trouble,
        process=ProcessFacts(pid=None, restarts=0, last_words="the end"),
    )


def test_a_validator_that_was_started_by_hand_is_seen_to_run(asked: list[str]) -> None:
    """As docs/guide/lost-disks.md has it started: no supervisor has written its process down."""
    (found,) = asyncio.run(collect.ask_nodes([local_node(trouble=Trouble.NOT_RUNNING)]))
    assert "http://validator-1" in asked
    assert found.trouble is None
    assert found.consensus is not None
    assert found.wishes == {ADDRESS: True}
    assert (found.name, found.role, found.home) == ("validator-1", "validator", "/net/nodes/validator-1")


@pytest.mark.parametrize("key", ["0x" + "2" * 40, None], ids=["a validator of another network", "a follower"])
def test_who_has_the_ports_of_a_stopped_node_is_not_taken_for_it(asked: list[str], key: str | None) -> None:
    node = local_node(trouble=Trouble.NOT_RUNNING, key=key)
    assert asyncio.run(collect.ask_nodes([node])) == (node,)
    assert "http://validator-1" in asked


def test_a_suspended_node_is_not_asked(asked: list[str]) -> None:
    node = local_node(trouble=Trouble.SUSPENDED)
    assert asyncio.run(collect.ask_nodes([node])) == (node,)
    assert "http://validator-1" not in asked


def test_the_client_is_loaded_before_the_time_of_the_first_node_runs(asked: list[str]) -> None:
    """Loading it takes seconds on a busy machine, and the first node was called mute for it."""
    asyncio.run(collect.ask_nodes([local_node(trouble=None)]))
    assert asked == ["http://127.0.0.1 web3_clientVersion", "http://validator-1"]


@pytest.mark.parametrize(
    ("lines", "only_errors", "words"),
    [
        ([STARTING, FAILED, SENTENCE], False, SENTENCE),
        ([STARTING, FAILED, SENTENCE, STARTING, REFUSED], True, SENTENCE),
        ([FAILED, STARTING], True, FAILED),
        (['{"event": "x", "level": "error"}', STARTING], True, '{"event": "x", "level": "error"}'),
        (["Traceback (most recent call last):", "ValueError: found 1"], True, "ValueError: found 1"),
        ([STARTING, REFUSED], True, None),
        ([STARTING, REFUSED], False, REFUSED),
        ([SENTENCE, *[STARTING] * collect.LINES_LOOKED_AT], True, None),
        ([], False, None),
    ],
    ids=[
        "the last sentence",
        "the last sentence of the life before",
        "an entry",
        "an entry as JSON",
        "a traceback",
        "a warning that names an error is none",
        "else the last line",
        "an error of long ago",
        "an empty log",
    ],
)
def test_the_last_words_of_a_log(
    tmp_path: Path, lines: list[str], only_errors: bool, words: str | None
) -> None:
    log = tmp_path / "validator-1.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    assert collect._last_words(log, only_errors=only_errors) == words
    assert collect._last_words(tmp_path / "none.log", only_errors=only_errors) is None
