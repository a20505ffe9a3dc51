"""The second look at tests on real time: it forgives what passes alone, says so, and nothing else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.second_look import FILES_MAX, SKIPS_REFUSED, Look, look_again, pytest_command

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[dict[str, str]], tuple[int, str]]

ROOT = Path(__file__).resolve().parents[2]
PASSES = "def test_it():\n    pass\n"
FAILS = "def test_it():\n    assert False\n"
FAILS_ONCE = """
from pathlib import Path

def test_it():
    seen = Path("seen").exists()
    Path("seen").touch()
    assert seen
"""
FAILS_LATER = """
from pathlib import Path

def test_it():
    seen = len(list(Path().glob("later-*")))
    Path(f"later-{seen}").touch()
    assert seen != 1

def test_other():
    assert Path("later-1").exists()
"""
FAILS_TWICE = """
from pathlib import Path

def test_it():
    seen = len(list(Path().glob("seen-*")))
    Path(f"seen-{seen}").touch()
    assert seen == 2
"""
SKIPS = """
import pytest

def test_it():
    pytest.skip("nobody allowed it")
"""
HURTS_THE_NEXT = """
hurt = []

def test_one():
    hurt.append(1)

def test_two():
    assert not hurt
"""


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run these files, by their names, and return the exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run_files(files: dict[str, str]) -> tuple[int, str]:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        options = ["-pno:randomly", "--rootdir=."]
        cache = tmp_path / "first"
        first = subprocess.run(pytest_command(cache, [*options, *files]), check=False)
        code = look_again([Look(first.returncode, cache)], options, tmp_path / "again")
        return code, capfd.readouterr().out

    return run_files


@pytest.mark.parametrize(
    ("files", "code", "looks_again", "is_told"),
    [
        ({"test_good.py": PASSES}, 0, False, False),
        ({"test_bad.py": FAILS, "test_good.py": PASSES}, 1, True, False),
        ({"test_unsteady.py": FAILS_ONCE, "test_good.py": PASSES}, 0, True, True),
        ({"test_unsteady.py": FAILS_TWICE, "test_other.py": FAILS_ONCE}, 0, True, True),
        ({"test_unsteady.py": FAILS_LATER}, 0, True, True),
        ({"test_unsteady.py": FAILS_ONCE, "test_bad.py": FAILS}, 1, True, False),
        ({"test_order.py": HURTS_THE_NEXT}, 1, True, False),
        ({"test_broken.py": "import nothing_of_this_name"}, 2, False, False),
        ({f"test_bad_{number}.py": FAILS for number in range(FILES_MAX + 1)}, 1, False, False),
    ],
    ids=[
        "good",
        "bad",
        "unsteady",
        "unsteady twice",
        "unsteady in the second look",
        "unsteady and bad",
        "hurts the next",
        "broken",
        "too many",
    ],
)
def test_only_what_passes_alone_is_forgiven_and_it_is_named(
    look: Run, files: dict[str, str], code: int, looks_again: bool, is_told: bool
) -> None:
    found, output = look(files)

    assert found == code
    assert ("a second look, alone, at " in output) is looks_again
    assert ("UNSTEADY" in output and "  test_unsteady.py::test_it" in output) is is_told


def test_a_skip_that_nobody_allowed_is_not_forgiven_with_a_test_that_would_pass_alone(
    look: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "src")]))
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_sessionfinish\n")

    found, output = look({"test_unsteady.py": FAILS_ONCE, "test_skipped.py": SKIPS})

    assert "1 failed, 1 skipped" in output
    assert found == SKIPS_REFUSED
    assert "a second look" not in output
