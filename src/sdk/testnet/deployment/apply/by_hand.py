"""Nodes of a local network that somebody runs with `metanode node`, where the supervisor knows nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from metanode.node.listening import listeners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sdk.testnet.deployment.apply.layout import NetworkDirectory
    from sdk.testnet.deployment.plan import NodePlan


def find_by_hand(directory: NetworkDirectory, nodes: Sequence[NodePlan]) -> dict[str, psutil.Process]:
    """The processes, by the nodes' names, that listen on a node's JSON-RPC port and were started in its directory or with a path in it.

    Another network or program on that port is not among them, nor is a process of another user, which may not be looked at.
    """
    if not nodes:
        return {}
    pids = listeners()
    found = {}
    for node in nodes:
        pid = pids.get(node.rpc_port)
        if pid is not None and (process := _process_of(pid, directory.node(node.name).resolve())):
            found[node.name] = process
    return found


def _process_of(pid: int, home: Path) -> psutil.Process | None:
    """The process, if its working directory or a word of its command line is in `home`."""
    try:
        process = psutil.Process(pid)
        started_in = Path(process.cwd())
        words = (word.partition("=")[2] or word for word in process.cmdline())
        paths = [started_in, *((started_in / word).resolve() for word in words)]
    except (OSError, ValueError, psutil.Error):
        return None
    return process if any(path.is_relative_to(home) for path in paths) else None
