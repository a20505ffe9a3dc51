"""The databases of the services beside this node: whether they answer at their addresses. The node itself needs none.

Looked at in the background, told in the log and in the status document; user names and passwords are in neither.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import structlog

if TYPE_CHECKING:
    from metanode.node.config import DatabaseSection

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT_S: Final = 5.0
"""Longer than a name server that does not answer at once; nothing waits for it."""
CHECK_INTERVAL_S: Final = 60.0
"""Between two looks: enough for a status page, nothing for a database."""
DEFAULT_PORTS: Final = {"postgres": 5432, "redis": 6379}


@dataclass(slots=True)
class _Service:
    """One database as its URL names it."""

    host: str
    port: int
    is_reachable: bool | None = None
    """None until it was looked at."""
    problem: str | None = None


class ServiceWatch:
    """Connects to each configured database now and then. Owner: the task of `run`; `status` is read in the same loop."""

    def __init__(self, section: DatabaseSection) -> None:
        self._services: dict[str, _Service] = {}
        for name, url in (("postgres", section.postgres_url), ("redis", section.redis_url)):
            if url is not None:
                parts = urlsplit(url.get_secret_value())
                port = parts.port or DEFAULT_PORTS[name]
                self._services[name] = _Service(parts.hostname or "localhost", port)

    def status(self) -> dict[str, Any]:
        """Each database by its name, for the status document."""
        return {
            name: {
                "address": f"{service.host}:{service.port}",
                "reachable": service.is_reachable,
                "problem": service.problem,
            }
            for name, service in self._services.items()
        }

    async def run(self) -> None:
        """Look at all of them at once, and again after a pause, until cancelled."""
        while self._services:
            async with asyncio.TaskGroup() as tasks:
                for name, service in self._services.items():
                    tasks.create_task(_look(name, service), name=f"look at {name}")
            await asyncio.sleep(CHECK_INTERVAL_S)


async def _look(name: str, service: _Service) -> None:
    was_reachable = service.is_reachable
    address = f"{service.host}:{service.port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, writer = await asyncio.open_connection(service.host, service.port)
            writer.close()
    except TimeoutError:
        service.is_reachable, service.problem = False, f"no answer in {CONNECT_TIMEOUT_S:g} s"
    except OSError as error:
        service.is_reachable, service.problem = False, _sentence(error)
    except UnicodeError:
        service.is_reachable, service.problem = False, "the host name cannot be resolved"
    else:
        service.is_reachable, service.problem = True, None
    if service.is_reachable is was_reachable:
        return
    if service.is_reachable:
        log.info("service_reachable", service=name, address=address)
    else:
        log.warning("service_unreachable", service=name, address=address, reason=service.problem)


def _sentence(error: OSError) -> str:
    """The system's words; event loops have their own, and name resolution counts its errors below zero."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
