"""One run of a compiler: a process of its own, shut in by `sandbox`, bounded, and ended with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.verification import sandbox

if TYPE_CHECKING:
    from sdk.testnet.services.verification.compilers import Compiler

CPU_S: Final = 60
"""Of a compiler: large projects take 10 to 20 s in WebAssembly."""
WALL_S: Final = 180.0
"""The same on a machine that has other work."""
MEMORY_BYTES: Final = 2 * 1024**3
"""1 GiB for solc's own memory, the rest for Node and its compiled code."""
OUTPUT_BYTES_MAX: Final = 64 * 1024 * 1024
"""The ABI, code and metadata of one contract are some hundred kilobytes."""
STDERR_BYTES: Final = 4_096
"""Of its last words."""


_SANDBOX: Final = str(Path(sandbox.__file__).resolve())


class CompilerFailed(InvalidInput):
    """The compiler refused the input, or did not get through with it; the message says which."""

    def __init__(self, message: str, code: str = "compiler_error") -> None:
        super().__init__(message)
        self.code = code


async def run_compiler(
    compiler: Compiler,
    given: dict[str, Any],
    *,
    wall_s: float = WALL_S,
    cpu_s: int = CPU_S,
    memory_bytes: int = MEMORY_BYTES,
) -> dict[str, Any]:
    """Return a compiler's output for a standard JSON input.

    Raises:
        CompilerFailed: when the sources don't compile, or take more time, memory or output than they may.
        Unavailable: when the compiler can't be started or shut in here.
    """
    # An empty folder of its own: relative paths lead nowhere. Nothing of our surroundings, where secrets may be.
    with tempfile.TemporaryDirectory(prefix="metanode-compiler-") as folder:
        surroundings = {"PATH": "/usr/bin:/bin", "HOME": folder, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
        command = (
            sys.executable, "-I", "-S", "-B", _SANDBOX, str(memory_bytes), str(cpu_s),
            *compiler.command,
        )  # fmt: skip
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=folder,
                env=surroundings,
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"the compiler can't be started: {error.strerror}") from None
        try:
            async with asyncio.timeout(wall_s):
                output, last_words = await _talk(process, orjson.dumps(given))
                status = await process.wait()
        except TimeoutError:
            raise CompilerFailed(
                f"The compiler was stopped after {wall_s:.0f} s; send fewer sources, or use lower optimization.",
                "compiler_timeout",
            ) from None
        finally:
            _end(process)
            with contextlib.suppress(Exception):
                process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - pipes of a killed process are closed by nobody else
            await process.wait()
    return _read(status, output, last_words)


async def _talk(process: asyncio.subprocess.Process, given: bytes) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_write(process.stdin, given), name="compiler: input")
        words = tasks.create_task(_last(process.stderr), name="compiler: errors")
        output = tasks.create_task(_whole(process.stdout, process), name="compiler: output")
    return output.result(), words.result()


async def _write(pipe: asyncio.StreamWriter, given: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(given)
        await pipe.drain()
        pipe.close()
        await pipe.wait_closed()


async def _whole(pipe: asyncio.StreamReader, process: asyncio.subprocess.Process) -> bytes:
    """All of it; a process that says more than is taken is ended."""
    found = bytearray()
    while part := await pipe.read(65_536):
        found += part
        if len(found) > OUTPUT_BYTES_MAX:
            _end(process)
            break
    return bytes(found)


def _end(process: asyncio.subprocess.Process) -> None:
    """End the process's whole session: it is ours, whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _last(pipe: asyncio.StreamReader) -> bytes:
    found = b""
    while part := await pipe.read(4_096):
        found = (found + part)[-STDERR_BYTES:]
    return found


def _read(status: int, output: bytes, last_words: bytes) -> dict[str, Any]:
    told = last_words.decode(errors="replace").strip()
    if status == sandbox.REFUSED:
        raise Unavailable(f"contracts can't be verified on this machine: {told[:200]}")
    if len(output) > OUTPUT_BYTES_MAX:
        raise CompilerFailed(f"The compiler's output is over {OUTPUT_BYTES_MAX} bytes.")
    if status in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise CompilerFailed(
            f"The compiler was stopped after {CPU_S} s of processor time; send fewer sources, or use lower optimization.",
            "compiler_timeout",
        )
    try:
        found = orjson.loads(output)
    except orjson.JSONDecodeError:
        words = (
            "it took too much memory"
            if "memory" in told.lower()
            else (told.splitlines() or ["it said nothing"])[-1]
        )
        raise CompilerFailed(
            f"The compiler ended without an answer (status {status}): {words[:200]}"
        ) from None
    if not isinstance(found, dict):
        raise CompilerFailed("The compiler answered something else than an object.")
    problems = [
        one for one in found.get("errors") or () if isinstance(one, dict) and one.get("severity") == "error"
    ]
    if problems:
        texts = [str(one.get("formattedMessage") or one.get("message") or "") for one in problems[:5]]
        raise CompilerFailed(
            "\n".join(text.strip() for text in texts)[:4_000] or "The sources do not compile."
        )
    return found
