"""What a process takes of the machine's memory, as the system counts it."""

from __future__ import annotations

from pathlib import Path

import psutil


def resident_bytes(pid: int) -> int:
    """What it takes now."""
    return int(psutil.Process(pid).memory_info().rss)


def peak_bytes(pid: int) -> int:
    """The most that it has taken since `forget_peak`: no moment is missed."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    """From now on the peak is counted anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
