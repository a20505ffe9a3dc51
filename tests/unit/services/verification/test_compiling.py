"""A compiler is a process that can reach nothing and ends in time: real processes, with programs that try what a hostile one would."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from sdk.testnet.services.verification.compilers import Compiler, find_compilers
from sdk.testnet.services.verification.compiling import CompilerFailed, run_compiler

ANSWER = "import json, sys; json.dump({'told': TOLD}, sys.stdout)"


def program(text: str) -> Compiler:
    """A compiler that is a few lines of Python."""
    return Compiler(language="Vyper", version="0", command=(sys.executable, "-I", "-S", "-c", text))


def attempt(text: str) -> str:
    """A program that says whether something could be done."""
    return f"""
try:
    {text}
    TOLD = "done"
except (OSError, MemoryError) as error:
    TOLD = type(error).__name__
{ANSWER}
"""


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")


@linux_only
@pytest.mark.parametrize(
    "text",
    [
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import socket; socket.create_connection(('127.0.0.1', 1))",
    ],
)
async def test_a_compiler_has_no_sockets(text: str) -> None:
    assert await run_compiler(program(attempt(text)), {}) == {"told": "PermissionError"}


async def test_a_compiler_writes_no_files(tmp_path: Path) -> None:
    text = f"with open({str(tmp_path / 'left')!r}, 'wb') as file: file.write(b'x'); file.flush()"

    assert await run_compiler(program(attempt(text)), {}) == {"told": "OSError"}


@linux_only
async def test_a_compilers_memory_is_bounded() -> None:
    memory = attempt("bytearray(300_000_000)")

    assert await run_compiler(program(memory), {}, memory_bytes=200_000_000) == {"told": "MemoryError"}
    assert await run_compiler(program(memory), {}, memory_bytes=500_000_000) == {"told": "done"}


async def test_a_compiler_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "hunter2")

    told = await run_compiler(program("import os; TOLD = dict(os.environ)\n" + ANSWER), {})

    assert "hunter2" not in str(told)


async def test_a_compiler_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    """Its child would hold the pipes open; nothing of either is left."""
    ids = tmp_path / "ids"
    os.mkfifo(ids)
    reader = os.open(ids, os.O_RDONLY | os.O_NONBLOCK)
    text = (
        f"import os, time\nout = os.open({str(ids)!r}, os.O_WRONLY)\n"
        "child = os.fork()\nos.write(out, b'%d\\n' % os.getpid())\nos.close(out)\ntime.sleep(600)"
    )
    started_s = time.monotonic()

    with pytest.raises(CompilerFailed, match="stopped after") as failed:
        await run_compiler(program(text), {}, wall_s=5)

    assert failed.value.code == "compiler_timeout"
    assert time.monotonic() - started_s < 120
    told = os.read(reader, 1_000).split()
    os.close(reader)
    # On a machine that is very busy they may not have begun.
    assert all(has_ended(int(pid)) for pid in told)


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie of nobody's."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in {"Z", "X"}:
            return True
        time.sleep(0.05)
    return False


async def test_a_compiler_that_turns_in_circles_is_ended_by_the_kernel() -> None:
    with pytest.raises(CompilerFailed, match="processor time"):
        await run_compiler(program("while True: pass"), {}, cpu_s=1)


async def test_a_compiler_that_never_stops_talking_is_ended() -> None:
    text = "import sys\nwhile True: sys.stdout.write('x' * 1_000_000)"

    with pytest.raises(CompilerFailed, match="output is over"):
        await run_compiler(program(text), {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("print('nonsense')", "without an answer"),
        ("print('[]')", "something else"),
        ("import sys; sys.exit('it broke')", "it broke"),
        ('print(\'{"errors": [{"severity": "error", "formattedMessage": "A.sol:1: no"}]}\')', "A.sol:1: no"),
    ],
)
async def test_a_compiler_that_fails_says_why(text: str, told: str) -> None:
    with pytest.raises(CompilerFailed, match=told):
        await run_compiler(program(text), {})


@pytest.mark.parametrize(
    "content",
    ["import os\n", "from . import secrets", "(" * 500, "\x00"],
)
async def test_vyper_refuses_bad_sources_in_words(content: str) -> None:
    vyper = find_compilers().found[0]
    given = {
        "language": "Vyper",
        "sources": {"a.vy": {"content": content}},
        "settings": {"outputSelection": {"*": ["evm.bytecode.object"]}},
    }

    with pytest.raises(CompilerFailed) as failed:
        await run_compiler(vyper, given)

    assert failed.value.code == "compiler_error"
    assert str(failed.value)


async def test_vyper_reads_no_file_that_is_not_in_the_input(tmp_path: Path) -> None:
    (tmp_path / "secret.vy").write_text("KEY: constant(uint256) = 4711\n")
    given = {
        "language": "Vyper",
        "sources": {"a.vy": {"content": "import secret\n"}},
        "settings": {"outputSelection": {"*": ["*"]}, "search_paths": [str(tmp_path), "."]},
    }

    with pytest.raises(CompilerFailed, match="secret") as failed:
        await run_compiler(find_compilers().found[0], given)

    assert "4711" not in str(failed.value)


def test_compilers_are_found_by_their_packages(tmp_path: Path) -> None:
    for version in ("0.8.9", "0.8.30"):
        package = tmp_path / "node_modules" / f"solc-{version}"
        package.mkdir(parents=True)
        (package / "soljson.js").write_text("")
        (package / "package.json").write_text(f'{{"version": "{version}"}}')
    broken = tmp_path / "node_modules" / "broken"
    broken.mkdir()
    (broken / "soljson.js").write_text("")

    without = find_compilers([tmp_path], node="no-such-program")

    assert without.versions("Solidity") == []
    assert any("Node 20" in sentence for sentence in without.missing)
    assert without.versions("Vyper")


def test_a_machine_without_solc_says_how_to_get_it(tmp_path: Path) -> None:
    assert any("testnet compilers --install" in sentence for sentence in find_compilers([tmp_path]).missing)
