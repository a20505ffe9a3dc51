"""What the monitor of a process reads of services: the process itself, and whom the configuration names."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from sdk.testnet.monitoring.thresholds import NODE_CORES, NODE_MEMORY_BYTES
from sdk.testnet.services import program
from sdk.testnet.services.composition import Composition
from sdk.testnet.services.configuration import ServicesConfig

if TYPE_CHECKING:
    from pathlib import Path

FAUCET = "http://faucet:9101/metrics"


def configuration(folder: Path, **tables: Any) -> ServicesConfig:
    network = {"network_id": "net", "chain_id": 1, "rpc_urls": ["http://127.0.0.1:9"]}
    return ServicesConfig.from_dict({"network": network} | tables, directory=folder, environment={})


def test_a_process_that_watches_reads_itself_and_whom_it_is_told_of(tmp_path: Path) -> None:
    """Also where no [metrics] serves its page to anybody."""
    config = configuration(tmp_path, alerts={"metrics_urls": [FAUCET]})

    found = Composition(config, AsyncExitStack(), is_watching=True)._pages_of_services()

    assert list(found) == ["this process", FAUCET]
    assert found[FAUCET] == FAUCET
    own = found["this process"]
    assert callable(own)
    assert b"process_cpu_seconds_total" in own()


@pytest.mark.parametrize(
    ("names", "watches"), [(("explorer",), True), (("indexer", "api"), True), (("faucet",), False)]
)
async def test_who_has_a_monitor_keeps_numbers_for_it(
    names: tuple[str, ...], watches: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def compose(*_: Any, is_watching: bool) -> None:
        asked.append(is_watching)
        raise InterruptedError

    monkeypatch.setattr(program, "Composition", compose)
    with pytest.raises(InterruptedError):
        await program.serve_services(configuration(tmp_path), names)

    assert asked == [watches]


async def test_who_watches_goes_by_what_the_file_says_a_node_may_take(tmp_path: Path) -> None:
    """Without a word by what everybody else goes by."""
    for told, expected in (
        ({}, (NODE_CORES, NODE_MEMORY_BYTES)),
        ({"node_cores": 8, "node_memory_mib": 16_384}, (8, 16 * 1024**3)),
    ):
        async with AsyncExitStack() as stack:
            parts = Composition(configuration(tmp_path, alerts=told), stack, is_watching=True)
            limits = (await parts._open_monitor(await parts._open_store())).limits

        assert (limits.node_cores, limits.node_memory_bytes) == expected
