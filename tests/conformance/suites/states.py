"""State tests: one transaction on a given state. The engine has no door for that yet, so each case says so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conformance.verdicts import Mismatch, Verdict, each


def judge(file: Path) -> Iterator[Verdict]:
    """The cases of a file of state tests."""
    return each(json.loads(file.read_bytes()).items(), judge_state)


def judge_state(_: Any) -> None:
    """One case."""
    raise Mismatch("the engine runs whole blocks: it cannot run one transaction on a given state yet")
