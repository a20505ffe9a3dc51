"""What large answers took goes back to the system when they have been read.

glibc keeps freed memory for later, and the larger the blocks that were freed before, the more it keeps: after one trace of eight megabytes
each of a node's threads may keep sixteen. Fixed bounds keep what is large out of the heaps, so that it is given back at once. What was many
small blocks, as a trace of ten thousand calls is, stays in the heaps between others: a thread looks now and then, and gives it back.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from pathlib import Path
from typing import Final

MAPPED_BYTES_MIN: Final = 256 << 10
"""From this size on a block has pages of its own, which go back as soon as it is freed: large requests and answers have such, the work of
blocks few."""
KEPT_BYTES_MAX: Final = 2 << 20
"""What a heap keeps at its end."""
LOOK_EVERY_S: Final = 0.25
"""How often the thread looks, which costs it one read."""
LOOK_EVERY_S_MAX: Final = 16.0
"""And where there was nothing to give back, although the process has grown: it may be in use for good."""
GROWN_BYTES_MIN: Final = 8 << 20
"""What is worth the milliseconds that the heaps are locked for."""
MEMORY: Final = Path("/proc/self/statm")
PAGE_BYTES: Final = 4096
"""Where pages are larger, it looks as if less had grown, and less is given back."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def give_back_freed_memory() -> bool:
    """Bound what the allocator of this process keeps. False where the allocator is not glibc's: others have bounds of their own."""
    library = ctypes.CDLL(None)
    try:
        set_option, trim = library.mallopt, library.malloc_trim
    except AttributeError:
        return False
    set_option.argtypes, set_option.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    trim.argtypes, trim.restype = (ctypes.c_size_t,), ctypes.c_int
    done = [set_option(_M_MMAP_THRESHOLD, MAPPED_BYTES_MIN), set_option(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)]
    _start_trimming()
    return all(done)


@functools.cache
def _start_trimming() -> None:
    """Once a process, for as long as it lives."""
    if MEMORY.exists():
        # Opened once: callers can take all the files that the process may open, and a thread that fails then would be gone for ever.
        memory = os.open(MEMORY, os.O_RDONLY | os.O_CLOEXEC)
        threading.Thread(target=_trim_now_and_then, args=(memory,), name="free memory", daemon=True).start()


def _trim_now_and_then(memory: int) -> None:
    trim, pause, least, pause_s = (
        ctypes.CDLL(None).malloc_trim,
        threading.Event(),
        _resident_bytes(memory),
        LOOK_EVERY_S,
    )
    while not pause.wait(pause_s):
        before = _resident_bytes(memory)
        if before < least + GROWN_BYTES_MIN:
            least, pause_s = min(least, before), LOOK_EVERY_S
            continue
        # Without the GIL, heap by heap: whoever allocates meanwhile waits for one of them at most.
        trim(0)
        after = _resident_bytes(memory)
        least = min(least, after)
        # What is in use now may be freed later, without growing before.
        pause_s = (
            LOOK_EVERY_S if before - after >= GROWN_BYTES_MIN // 2 else min(2 * pause_s, LOOK_EVERY_S_MAX)
        )


def _resident_bytes(memory: int) -> int:
    return int(os.pread(memory, 128, 0).split()[1]) * PAGE_BYTES
