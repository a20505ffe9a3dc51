"""Disks that fail or are slow: `disk_faults.c` stands between one node and its data directory."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.acceptance.processes import wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, check_within
from tests.integration.faults.catalogue.disks import check_told, start_again
from tests.integration.faults.catalogue.partitions import stay
from tests.integration.faults.catalogue.pauses import cluster_intervals
from tests.integration.faults.cluster import PERIOD_S, Cluster, timed
from tests.integration.faults.leftovers import run

from sdk.testnet.deployment.apply.layout import NetworkDirectory

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from tests.integration.faults.cluster import Node

SOURCE = Path(__file__).parents[1] / "disk_faults.c"
VICTIM = 1
ENDS_WITHIN_S = 60.0
BACK_WITHIN_S = 20.0
INTERVAL_MAX = 1.5 * PERIOD_S
"""Its own turns may be lost, each a second; nothing else."""
DOSE = struct.Struct("qqqqq")


def why_not() -> str | None:
    """What is missing."""
    return (
        None
        if shutil.which("cc")
        else "a disk is made to fail by a small library, which needs a C compiler: apt-get install gcc libc6-dev"
    )


def environments(path: Path, *, below: str = "data") -> Mapping[int, dict[str, str]]:
    """The node whose disk is hurt, whole at first; `below` is the directory that it is about."""
    library, dose = path / "disk_faults.so", path / "dose"
    run("cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl")
    dose.write_bytes(bytes(DOSE.size))
    folder = NetworkDirectory(path).node(f"validator-{VICTIM + 1}") / below
    return {
        VICTIM: {
            "LD_PRELOAD": str(library),
            "DISK_FAULTS_FILE": str(dose),
            "DISK_FAULTS_BELOW": str(folder.resolve()),
        }
    }


class Disk:
    """The victim's disk."""

    def __init__(self, cluster: Cluster) -> None:
        self._dose = cluster.path / "dose"

    def hurt(self, *, fsync_s: float = 0.0, fsync: int = 0, write: int = 0, read: int = 0) -> None:
        """Give this dose from now on; the calls that meet it are counted anew."""
        descriptor = os.open(self._dose, os.O_WRONLY)
        os.pwrite(descriptor, DOSE.pack(round(fsync_s * 1e9), fsync, write, read, 0), 0)
        os.close(descriptor)

    def heal(self) -> None:
        """Make it whole; the count stays."""
        descriptor = os.open(self._dose, os.O_WRONLY)
        os.pwrite(descriptor, bytes(DOSE.size - 8), 0)
        os.close(descriptor)

    @property
    def met(self) -> int:
        """How many calls were slowed or refused."""
        return int(DOSE.unpack(self._dose.read_bytes())[4])


def broken(
    cluster: Cluster,
    chance: random.Random,
    *,
    cause: str = "does not read or write any more",
    **errors: int,
) -> Figures:
    """The disk breaks while the node runs, and is broken when it is started again; on a whole one it is back."""
    victim, disk = cluster.nodes[VICTIM], Disk(cluster)
    others = _others(cluster)
    cluster.pay(chance.randint(20, 50), node=others[0].index)
    before = cluster.top(others)
    try:
        disk.hurt(**errors)
        ends_s = timed(lambda: victim.wait_end(within_s=ENDS_WITHIN_S))
        assert disk.met > 0
        check_told(victim, cause, "dmesg")
        cluster.wait_height(before + 2, nodes=others, within_s=30.0)
        victim.start()
        victim.wait_end(within_s=ENDS_WITHIN_S)
        check_told(victim, cause)
    finally:
        disk.heal()
    return {"ends after_s": ends_s, "back at the head_s": start_again(cluster, victim)}


def broken_at_start(cluster: Cluster, _chance: random.Random, **errors: int) -> Figures:
    """The disk is broken when the node is started."""
    victim, disk = cluster.nodes[VICTIM], Disk(cluster)
    victim.kill()
    try:
        disk.hurt(**errors)
        victim.start()
        ends_s = timed(lambda: victim.wait_end(within_s=ENDS_WITHIN_S))
        assert disk.met > 0
        check_told(victim, "does not read or write any more")
    finally:
        disk.heal()
    return {"ends after_s": ends_s, "back at the head_s": start_again(cluster, victim)}


def failing_once(cluster: Cluster, chance: random.Random, **errors: int) -> Figures:
    """A call fails and the next one would not: after a failed fsync nobody knows what is on the disk, so the node ends, and looks in its next life.

    A write of the engine that failed is done again, and the node may live.
    """
    victim, disk = cluster.nodes[VICTIM], Disk(cluster)
    stay(chance.uniform(0.0, PERIOD_S))
    try:
        disk.hurt(**errors)
        wait_until(lambda: disk.met > 0, within_s=30.0, what="a call fails")
    finally:
        disk.heal()
    begun, height = time.monotonic(), cluster.top() + 1
    wait_until(
        lambda: not victim.is_running or ("write" in errors and (victim.height() or 0) >= height),
        within_s=ENDS_WITHIN_S,
        what=f"{victim.name} ends, or follows after a write that was done again",
    )
    outcome, ends_s = "goes on", time.monotonic() - begun
    if not victim.is_running:
        outcome = "ends"
        check_told(victim, "does not read or write any more")
        start_again(cluster, victim)
    return {"outcome": outcome, "known after_s": ends_s}


def slow(cluster: Cluster, _chance: random.Random, *, fsync_s: float, seconds: float) -> Figures:
    """Every fsync of one node takes longer; the others keep their pace, and it is with them when its disk is fast again."""
    victim, disk = cluster.nodes[VICTIM], Disk(cluster)
    others = _others(cluster)
    first = cluster.top(others)
    try:
        disk.hurt(fsync_s=fsync_s)
        stay(seconds)
        met = disk.met
        last, behind = cluster.top(others), cluster.top(others) - (victim.height() or 0)
    finally:
        disk.heal()
    assert met > 0
    assert victim.is_running, victim.log[-3000:]
    assert last > first, f"no block in {seconds:g} s with one slow disk"
    interval_s = cluster_intervals(cluster, first, last, others[0].index)
    check_within("mean interval", interval_s, INTERVAL_MAX)
    begun = time.monotonic()
    cluster.wait_height(cluster.top(others), nodes=[victim], within_s=3 * BACK_WITHIN_S)
    back_s = time.monotonic() - begun
    check_within("back at the head", back_s, BACK_WITHIN_S)
    return {"mean interval_s": interval_s, "blocks behind": float(behind), "back at the head_s": back_s}


def _others(cluster: Cluster) -> list[Node]:
    return [node for node in cluster.nodes if node.index != VICTIM]


ENDS = "ends with an exit code and a sentence that names disk, cause and action; the others go on; back at the head on a whole disk; no second signature"
GOES_ON = "the mean interval below 3 s; the node lives, and is at the head 20 s after"
EIO = errno.EIO
turns_read_only = partial(broken, cause="is mounted read-only", write=errno.EROFS, fsync=errno.EROFS)
"""As a kernel does it that has met errors: files that are open for writing stay open, so it is no remount, which is refused while there are any."""

GROUP = Group(
    name="failing-disks",
    environments=environments,
    why_not=why_not,
    cases=(
        Case(fault="EIO", dose="every fsync", must_hold=ENDS, run=partial(broken, fsync=EIO), in_ci=True),
        Case(fault="EIO", dose="every write", must_hold=ENDS, run=partial(broken, write=EIO)),
        Case(fault="disk read-only", dose="while it runs", must_hold=ENDS, run=turns_read_only, in_ci=True),
        Case(fault="EIO", dose="every read, at the start", must_hold=ENDS, run=partial(broken_at_start, read=EIO), in_ci=True),
        Case(fault="EIO", dose="every fsync, at the start", must_hold=ENDS, run=partial(broken_at_start, fsync=EIO)),
        *(
            Case(fault="EIO once", dose=dose, must_hold=ENDS, run=partial(failing_once, **errors), repetition=number)
            for dose, errors in (("an fsync", {"fsync": EIO}), ("a write", {"write": EIO}))
            for number in range(1, 6)
        ),
        *(
            Case(fault="slow fsync", dose=dose, must_hold=GOES_ON, run=partial(slow, fsync_s=fsync_s, seconds=seconds), in_ci=in_ci)
            for dose, fsync_s, seconds, in_ci in (
                ("20 ms each", 0.02, 20.0, False), ("200 ms each", 0.2, 20.0, True), ("1 s each", 1.0, 30.0, False), ("5 s each", 5.0, 60.0, False),
            )
        ),
    ),
)  # fmt: skip
