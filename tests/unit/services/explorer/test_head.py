"""What tells browsers of news outlives whatever goes wrong with one picture of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from sdk.testnet.services.explorer import head
from sdk.testnet.services.web.live import LiveHub


class Pages:
    """Makes fragments; the first fails as a template does that divides by what a node said."""

    def __init__(self) -> None:
        self.failures = 0

    def fragment(self, template: str, **_: Any) -> str:
        if not self.failures:
            self.failures += 1
            raise ZeroDivisionError(template)
        return template


class Reading:
    """An index with a new block at each look."""

    def __init__(self) -> None:
        self.number = 0

    async def look(self, _: Any) -> Any:
        self.number += 1
        return SimpleNamespace(number=self.number)


async def _model(_: Any, **__: Any) -> Any:
    return SimpleNamespace(as_of=SimpleNamespace(block=1))


@pytest.mark.parametrize(
    ("teller", "topic"), [(head.HeadFollower, "home"), (head.DashboardTeller, "dashboard")]
)
async def test_a_fragment_that_fails_is_logged_and_the_next_one_is_published(
    monkeypatch: pytest.MonkeyPatch, teller: Any, topic: str
) -> None:
    for name in ("POLL_S", "RETRY_S", "DASHBOARD_S"):
        monkeypatch.setattr(head, name, 0)
    monkeypatch.setattr(head, "read_home", _model)
    monkeypatch.setattr(head.dashboard, "read_dashboard", _model)
    hub, pages = LiveHub(["home", "dashboard"]), Pages()
    scope = {
        "type": "http", "method": "GET", "path": "/live", "headers": [],
        "query_string": f"topics={topic}".encode(),
    }  # fmt: skip
    answer: Any = await hub.serve(Request(scope))
    with capture_logs() as entries:
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            told = teller(parts=SimpleNamespace(reading=Reading()), pages=pages, hub=hub)
            running = tasks.create_task(told.run(), name=topic)
            async for piece in answer.body_iterator:
                if piece.startswith(f"event: {topic}".encode()):
                    break
            running.cancel()

    assert pages.failures == 1
    failed = [entry for entry in entries if entry["event"] == "explorer_live_failed"]
    assert [(entry["topic"], entry["log_level"]) for entry in failed] == [(topic, "error")]
