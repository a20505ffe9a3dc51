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


def rules_without_a_reason(text: str) -> list[str]:
    """Lines of the linter's lists of ignored rules that do not say why."""
    lists = re.findall(r"^ignore = \[\n(.*?)^\]", text, flags=re.DOTALL | re.MULTILINE)
    lists += re.findall(
        r"^\[tool\.ruff\.lint\.per-file-ignores\]\n(.*?)^\[", text, flags=re.DOTALL | re.MULTILINE
    )
    lines = [line for part in lists for line in part.splitlines()]
    return [line for line in lines if re.search(r"\"[A-Z]+[0-9]*\"", line) and not re.search(r"  # \S", line)]


def exceptions_without_a_reason(text: str) -> list[str]:
    """Lines with an exception from a rule that is explained neither there, nor right above, nor by the same one right above."""
    found, before, explained = [], "", ""
    for line in text.splitlines():
        exception = re.search(r"# noqa: ([A-Z0-9, ]+?)( - \w.*)?$", line)
        if exception is not None:
            is_explained = exception[2] or before.lstrip().startswith("# ") or explained == exception[1]
            if not is_explained:
                found.append(line)
            explained = exception[1] if is_explained else ""
        else:
            explained = ""
        before = line
    return found


def test_each_rule_that_the_linter_ignores_says_why() -> None:
    assert rules_without_a_reason((ROOT / "pyproject.toml").read_text()) == []


def test_each_exception_from_a_rule_says_why() -> None:
    found = {path: exceptions_without_a_reason(path.read_text()) for path in tracked("*.py")}

    assert {str(path.relative_to(ROOT)): lines for path, lines in found.items() if lines} == {}


def test_a_reason_stands_beside_or_above() -> None:
    """The two look-outs above can fail."""
    listed = '[tool.ruff.lint]\nignore = [\n    "D105",  # known\n    "D107",\n]\n[tool.ruff.lint.per-file-ignores]\n"a/**" = ["B008"]\n[x]\n'
    code = "a()  # noqa: S1 - ours\nb()  # noqa: S1\nc()  # noqa: S2\n# For two reasons.\nd()  # noqa: S2\n\ne()  # noqa: S1\n"

    assert rules_without_a_reason(listed) == ['    "D107",', '"a/**" = ["B008"]']
    assert exceptions_without_a_reason(code) == ["c()  # noqa: S2", "e()  # noqa: S1"]
