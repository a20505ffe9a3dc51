"""Becomes a compiler that can reach nothing: `python -I sandbox.py MEMORY_BYTES CPU_SECONDS PROGRAM ARGUMENT...`.

Run as a program by an interpreter that has loaded nothing else. It ends with its parent, writes no file, dumps no core, has bounded memory and
processor time; and on Linux the kernel refuses it sockets and everything that leads around them (seccomp, inherited by the program). Where Linux
does not grant that, it runs nothing: exit code 97.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

REFUSED = 97
"""Exit code when the process could not be shut in."""
FILES_MAX = 128
"""Open at once: a compiler's program, its modules, three pipes."""
NICENESS = 10
"""Blocks and pages come first."""

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001
"""SECCOMP_RET_ALLOW, and SECCOMP_RET_ERRNO with EPERM."""
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""BPF: load a word, jump if equal, jump if not less, return."""
_X32 = 0x40000000
"""Where the second table of calls of x86-64 begins."""
_CALLS = {
    # socket, ptrace, bpf, process_vm_readv and _writev, unshare, setns, io_uring_setup, userfaultfd, perf_event_open, keyctl
    "x86_64": (0xC000003E, (41, 101, 321, 310, 311, 272, 308, 425, 323, 298, 250)),
    "aarch64": (0xC00000B7, (198, 117, 280, 270, 271, 97, 268, 425, 282, 241, 219)),
}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]  # type: ignore[mutable-override]


def bound(memory_bytes: int, cpu_s: int) -> None:
    """Bound this process's means, for good. RLIMIT_DATA counts what is written; engines of WebAssembly reserve far more than they use."""
    for name, value in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, FILES_MAX),
    ):
        _, hard = resource.getrlimit(name)
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(name, (least, least))
    os.nice(NICENESS)


def shut_in() -> None:
    """Take away sockets and what leads around them; raises OSError where the kernel does not do it."""
    architecture, calls = _CALLS[platform.machine()]
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, 0)]
    tests = [(_AT_LEAST, _X32), *((_EQUAL, call) for call in calls)]
    # Each hit jumps over the tests after it and over "allow".
    steps += [(kind, len(tests) - place, 0, value) for place, (kind, value) in enumerate(tests)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(steps), ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if library.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"prctl {arguments[0]}")


def main() -> None:
    """Shut this process in, and become the program."""
    memory_bytes, cpu_s, *command = sys.argv[1:]
    bound(int(memory_bytes), int(cpu_s))
    if sys.platform == "linux":
        try:
            shut_in()
        except (OSError, KeyError) as error:
            print(f"the compiler can't be shut in: {error}", file=sys.stderr)  # noqa: T201 - it is a program
            sys.exit(REFUSED)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
