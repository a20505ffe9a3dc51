"""A run that was killed leaves nothing that the next one does not remove."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.acceptance.processes import wait_until
from tests.integration.faults import leftovers, namespaces

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)

MAKE_AND_WAIT = """
import sys, time
from pathlib import Path
from tests.integration.faults.cluster import Cluster, best_kind
cluster = Cluster(Path(sys.argv[1]), best_kind(), disk_mib={0: 8} if best_kind() == "namespaces" else {})
cluster._listener = cluster._start_listener()
for node in cluster.nodes:
    node.start()
print(*(node.process.pid for node in cluster.nodes), cluster._listener.pid, flush=True)
time.sleep(600)
"""


def left_by(pid: int) -> list[str]:
    """Namespaces and mounts of a run."""
    names = [*leftovers.owned_namespaces(), *(name for name, _ in leftovers.owned_mounts())]
    return [name for name in names if f"-{pid}-" in name]


def test_the_next_run_removes_what_a_killed_one_has_left_and_its_processes_die_with_it(
    tmp_path: Path,
) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", MAKE_AND_WAIT, str(tmp_path / "net")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 5
        assert all(psutil.pid_exists(pid) for pid in pids)
        if namespaces.why_not() is None:
            assert len(left_by(run.pid)) == 6 + 1  # one file system
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait(timeout=10.0)
        assert run.stdout is not None
        run.stdout.close()
    wait_until(
        lambda: not any(psutil.pid_exists(pid) for pid in pids),
        within_s=10.0,
        what="the nodes and the listener have ended with the run",
    )

    # Another test that begins now may have been faster.
    leftovers.clean()

    assert not left_by(run.pid)


def test_what_a_living_run_has_made_stays() -> None:
    assert not leftovers.is_stale(leftovers.own_name("n0"))
    assert not leftovers.is_stale(f"mtf-{os.getppid()}-n0")
    assert not leftovers.is_stale("somebody-elses")
    assert leftovers.is_stale(f"mtf-{2**22 + 1}-n0")
