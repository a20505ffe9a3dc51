"""`testnet monitor`: what it logs is no part of what it says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import structlog

from sdk.testnet.command.output import run_program
from sdk.testnet.command.program import app

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """The command says where this process logs to."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_stdout_is_one_document_whatever_the_monitor_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail(_: object) -> None:
        raise OSError("Bad file descriptor")

    monkeypatch.setattr("sdk.testnet.monitoring.watcher.ask_nodes", fail)

    run_program(lambda: app(["monitor", "http://127.0.0.1:9", "--json"], standalone_mode=False))

    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"]["state"] == "UNKNOWN"
    assert "monitor_look_failed" in said.err
