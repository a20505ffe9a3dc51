"""What large answers took goes back to the system when they have been read.

glibc keeps freed memory for later, and the larger the blocks that were freed before, the more it keeps: after one trace of eight megabytes
each of a node's threads may keep sixteen. Fixed bounds keep what is large out of the heaps, so that it is given back at once.
"""

from __future__ import annotations

import ctypes
from typing import Final

MAPPED_BYTES_MIN: Final = 1 << 20
"""From this size on a block has pages of its own, which go back as soon as it is freed: an answer has such, the work of blocks few."""
KEPT_BYTES_MAX: Final = 2 << 20
"""What a heap keeps at its end."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def give_back_freed_memory() -> bool:
    """Bound what the allocator of this process keeps. False where the allocator is not glibc's: others have bounds of their own."""
    library = ctypes.CDLL(None)
    try:
        set_option = library.mallopt
    except AttributeError:
        return False
    set_option.argtypes, set_option.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    done = [set_option(_M_MMAP_THRESHOLD, MAPPED_BYTES_MIN), set_option(_M_TRIM_THRESHOLD, KEPT_BYTES_MAX)]
    return all(done)
