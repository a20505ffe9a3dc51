"""What a run makes on the machine carries its owner's process id in its name, so that the next run finds what a killed one has left.

Processes are children that the system kills with their parent; namespaces and mounts have no parent, and are removed here.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

PREFIX = "mtf"
NAMESPACES = Path("/run/netns")
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
"""What stands before the command of a child that the kernel is to kill when we end, however we end."""

_OWNED = re.compile(rf"{PREFIX}-(\d+)-")


def own_name(what: str) -> str:
    """A name that says whose it is."""
    return f"{PREFIX}-{os.getpid()}-{what}"


def is_stale(name: str) -> bool:
    """Whether the process that the name names is gone."""
    found = _OWNED.match(name)
    return found is not None and not Path(f"/proc/{found[1]}").exists()


def run(*command: str) -> str:
    """Run a command of the system; its output. What it complains about is the error."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def owned_namespaces() -> list[str]:
    """Names of all namespaces that a run has made, ours and others'."""
    return sorted(path.name for path in NAMESPACES.glob(f"{PREFIX}-*")) if NAMESPACES.exists() else []


def owned_mounts() -> list[tuple[str, str]]:
    """Name and place of every file system that a run has mounted, the latest first."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        name, place = line.split(" ")[:2]
        if _OWNED.match(name):
            found.append((name, place.encode().decode("unicode_escape")))
    return found[::-1]


def remove_namespace(name: str) -> None:
    """End what runs in it and remove it, with its interfaces and rules."""
    for pid in run("ip", "netns", "pids", name).split():
        os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "delete", name)


def clean() -> list[str]:
    """Remove what runs that are gone have left; what it was. Another run may be doing the same in this moment."""
    removed = []
    for name in owned_namespaces():
        if is_stale(name):
            try:
                remove_namespace(name)
            except OSError:
                if name in owned_namespaces():
                    raise
                continue
            removed.append(name)
    for name, place in owned_mounts():
        if is_stale(name):
            try:
                run("umount", "--lazy", place)
            except OSError:
                if (name, place) in owned_mounts():
                    raise
                continue
            removed.append(f"{name} at {place}")
    return removed
