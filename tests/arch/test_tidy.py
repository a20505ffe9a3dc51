"""House rules that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}
LINES_MAX = 700
"""A room with more purposes than one has been seen to be longer than this."""
WORDS = {
    r"\bleader\b": "proposer",
    r"\bTODO\b|\bFIXME\b|\bXXX\b": "an issue",
}
FILE_BYTES_MAX = 400_000


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / line for line in listed.stdout.splitlines()]


CODE = tracked("src/*.py", "rust/*.rs")


def test_there_is_code_to_look_at() -> None:
    assert len(CODE) > 50


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_s_name_says_what_is_in_it(path: Path) -> None:
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_short_and_uses_the_field_s_words(path: Path) -> None:
    text = path.read_text()

    assert text.count("\n") <= LINES_MAX
    assert [
        f"{found.group()} -> {right}" for word, right in WORDS.items() if (found := re.search(word, text))
    ] == []


def test_no_large_file_is_committed() -> None:
    large = [path for path in tracked() if path.is_file() and path.stat().st_size > FILE_BYTES_MAX]

    assert [path.name for path in large if path.name not in ("Cargo.lock", "requirements.lock")] == []
