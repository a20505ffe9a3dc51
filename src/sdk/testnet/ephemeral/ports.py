"""Port offsets of networks that run beside each other: each holds a lock on its own, in all processes of a user."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.plan import plan_network

if TYPE_CHECKING:
    from sdk.testnet.deployment.plan import NetworkSpec

OFFSETS: Final = range(130, 2_365, 65)
"""All ports stay below those that the system gives to outgoing connections, and no two networks of up to `NODES_APART` nodes have one in common."""
NODES_APART: Final = 30
"""From 31 on the metrics of one may be the JSON-RPC of another: the second then takes another offset, unless both begin at once."""


def take_offset(spec: NetworkSpec) -> tuple[int, int]:
    """Return a locked descriptor, to be held as long as the network runs, and an offset whose ports are all free.

    Raises:
        Unavailable: when there is none.
    """
    folder = Path(tempfile.gettempdir()) / f"metanode-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    offsets = list(OFFSETS)
    random.SystemRandom().shuffle(offsets)
    for offset in offsets:
        lock = os.open(folder / str(offset), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, InvalidInput):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            local.check_ports(plan_network(replace(spec, port_offset=offset)).nodes)
            return lock, offset
        os.close(lock)
    raise Unavailable(f"none of {len(offsets)} port offsets is free: stop some networks")
