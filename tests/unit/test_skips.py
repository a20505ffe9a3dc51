"""What was skipped is said once, where `make test` ends, and each reason holds the command that takes it away."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests import everything
from tests.skips import FILE, Skips

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

TESTS = everything.ROOT / "tests"
COMMAND = re.compile(r"\b(apt-get install|make|npm|sudo|docker run) [\w.-]")
PASSED_ON = re.compile(r"\{(namespaces\.why_not\(\)|absent|str\((absent|error|reason|failing_disks\.why_not\(\))\)|reason)\}")  # fmt: skip
"""What says the reason of somebody else, who is looked at himself."""
NO_COMMAND_HELPS = {
    "seccomp is Linux's",
    "the allocator is not glibc's",
    "the users' own document is not handed along: there is nothing to compare the copy with",
}
OF_OTHER_TESTS = {Path(__file__).name, "test_made_once.py"}
"""Their reasons are what they look at."""


def text_of(node: ast.expr) -> str:
    """A string with what is not known before it runs in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return f"{{{ast.unparse(node.value)}}}"
    return f"{{{ast.unparse(node)}}}"


def reasons(tree: ast.AST) -> Iterator[str]:
    """Those of skips and of what they pass on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == "pytest.skip" or name.endswith(("Absent", "InstallationError")):
                yield from (text_of(argument) for argument in node.args[:1])
            elif name.endswith("mark.skipif"):
                yield from (text_of(word.value) for word in node.keywords if word.arg == "reason")
        elif isinstance(node, ast.FunctionDef) and node.name == "why_not" and not node.args.args:
            for returned in (part.value for part in ast.walk(node) if isinstance(part, ast.Return)):
                branches = [returned.body, returned.orelse] if isinstance(returned, ast.IfExp) else [returned]
                yield from (text for branch in branches if (text := text_of(branch)) != "None")


def test_each_reason_holds_the_command_that_takes_it_away() -> None:
    found = {
        (path.relative_to(TESTS).as_posix(), reason)
        for path in TESTS.rglob("*.py")
        if path.name not in OF_OTHER_TESTS and "node_modules" not in path.parts
        for reason in reasons(ast.parse(path.read_text()))
    }
    said = {reason for _, reason in found}

    assert {(path, reason) for path, reason in found if not COMMAND.search(reason) and not PASSED_ON.search(reason)} == {
        (path, reason) for path, reason in found if reason in NO_COMMAND_HELPS
    }  # fmt: skip
    assert said > NO_COMMAND_HELPS
    # That reasons are found at all, of each kind.
    assert any("network namespaces need root: sudo " in reason for reason in said)
    assert any("PostgreSQL is not installed" in reason for reason in said)
    assert any("which needs a C compiler: apt-get install gcc" in reason for reason in said)


def test_groups_of_all_runs_are_the_last_thing_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two runs that skip, for a reason of both and for one of each, and a command whose output comes after theirs."""

    def stands_for(cache: Path, _: object) -> list[str]:
        directory = tmp_path / cache.name
        directory.mkdir()
        (directory / "conftest.py").write_text("from tests.conftest import pytest_terminal_summary\n")
        (directory / "test_it.py").write_text(
            "import pytest\n\ndef test_one():\n    pytest.skip('no root: sudo it')\n\n"
            f"def test_two():\n    pytest.skip('no {cache.name}: make it')\n"
        )
        return [sys.executable, "-m", "pytest", "-q", "-pno:randomly", "-pno:cacheprovider", f"--rootdir={directory}", str(directory)]  # fmt: skip

    monkeypatch.setenv(FILE, "")
    monkeypatch.setenv("PYTHONPATH", f"{everything.ROOT}:{everything.ROOT / 'src'}")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(everything, "pytest_command", stands_for)
    monkeypatch.setattr(everything, "MAKE", ("echo", "the output of"))
    monkeypatch.setattr(everything, "LOG", tmp_path / "log")
    monkeypatch.setattr(everything, "ROOT", tmp_path)
    monkeypatch.setattr(everything.signal, "signal", lambda *_: None)

    code = everything.run([])
    said = capfd.readouterr().out

    assert code == 0, said
    assert said.count("skipped groups") == 1
    output, groups = said.split("\nskipped groups\n")
    assert sorted(groups.splitlines()) == ["1 x no computing: make it", "1 x no waiting: make it", "2 x no root: sudo it"]  # fmt: skip
    assert "the output of fuzz-decode" in output


def test_a_run_alone_says_its_groups_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE, raising=False)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_terminal_summary\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\ndef test_it():\n    pytest.skip('no root: sudo it')\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:randomly", "-pno:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)],
        check=False, capture_output=True, text=True, env={"PYTHONPATH": f"{everything.ROOT}:{everything.ROOT / 'src'}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip

    assert "1 x no root: sudo it" in done.stdout.splitlines()


def test_what_no_run_skipped_is_nothing(tmp_path: Path) -> None:
    assert not Skips.read(tmp_path / "absent")
