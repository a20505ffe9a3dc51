"""The databases beside a node: looked at, told, never needed."""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import SecretStr

from metanode.node import services
from metanode.node.config import DatabaseSection
from metanode.node.services import ServiceWatch

if TYPE_CHECKING:
    import pytest

WAIT_S = 5.0


def section(*, postgres: str | None = None, redis: str | None = None) -> DatabaseSection:
    return DatabaseSection(
        postgres_url=None if postgres is None else SecretStr(postgres),
        redis_url=None if redis is None else SecretStr(redis),
    )


async def look(watch: ServiceWatch) -> None:
    """Run until every service was looked at once."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(watch.run())
            while any(entry["reachable"] is None for entry in watch.status().values()):
                await asyncio.sleep(0.01)
            running.cancel()


def test_a_service_that_listens_is_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        watch = ServiceWatch(section(postgres=f"postgresql://user:secret@127.0.0.1:{port}/db"))

        asyncio.run(look(watch))

    assert watch.status() == {
        "postgres": {"address": f"127.0.0.1:{port}", "reachable": True, "problem": None}
    }


def test_a_service_that_does_not_listen_is_named_with_the_reason() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        watch = ServiceWatch(section(redis=f"redis://:secret@127.0.0.1:{port}"))

        asyncio.run(look(watch))

    (entry,) = watch.status().values()
    assert entry["reachable"] is False
    assert "refused" in entry["problem"].lower()


def test_a_service_that_is_back_is_seen_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "CHECK_INTERVAL_S", 0.01)

    async def scenario() -> list[bool]:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            watch = ServiceWatch(section(redis=f"redis://127.0.0.1:{taken.getsockname()[1]}"))
            seen: list[bool] = []
            async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
                running = tasks.create_task(watch.run())
                for wanted in (False, True):
                    while watch.status()["redis"]["reachable"] is not wanted:
                        await asyncio.sleep(0.01)
                    seen.append(wanted)
                    taken.listen()
                running.cancel()
            return seen

    assert asyncio.run(scenario()) == [False, True]


def test_neither_user_nor_password_is_in_the_status() -> None:
    watch = ServiceWatch(
        section(postgres="postgresql://alice:hunter2@db.example/x", redis="redis://:hunter3@cache.example")
    )

    status = watch.status()

    assert [entry["address"] for entry in status.values()] == ["db.example:5432", "cache.example:6379"]
    assert not {"alice", "hunter2", "hunter3"} & set(json.dumps(status).replace('"', " ").split())


def test_without_databases_there_is_nothing_to_do() -> None:
    watch = ServiceWatch(section())

    asyncio.run(watch.run())

    assert watch.status() == {}
