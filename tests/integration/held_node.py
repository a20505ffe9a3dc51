"""`metanode node`, whose Python can be stopped: `python held_node.py node HOME`.

HOME/hold and HOME/release are named pipes. When somebody writes to the first, one C function takes the interpreter's lock and keeps it until
somebody writes to the second; the file HOME/held is there in between. Threads that need no Python go on as before.
"""

import ctypes
import os
import sys
import threading
from pathlib import Path
from typing import Final

HELD_S_MAX: Final = 60
"""A test that never releases must not leave a shell behind."""
KEEP: Final = f"touch held; timeout {HELD_S_MAX} cat release; rm held".encode()


def hold_when_asked(pipe: Path) -> None:
    """Wait as threads may, and then as none should."""
    while True:
        pipe.read_bytes()
        # What a PyDLL has is called with the lock, and others get it when the call returns.
        ctypes.PyDLL(None).system(KEEP)


if __name__ == "__main__":
    from metanode.cli import main

    home = Path(sys.argv[-1])
    for name in ("hold", "release"):
        os.mkfifo(home / name)
    threading.Thread(target=hold_when_asked, args=[home / "hold"], daemon=True).start()
    sys.exit(main())
