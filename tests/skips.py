"""What a run of tests left out, by reason. `make test` is several runs, and says it once, where it ends."""

from __future__ import annotations

import fcntl
import json
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "METANODE_TESTS_SKIPPED"
"""The environment's name of the file into which runs write what they skipped, rather than print it."""


class Skips(Counter[str]):
    """How many tests were skipped for each reason; a reason ends with the command that takes it away."""

    def lines(self) -> list[str]:
        """One for each group, the largest first."""
        return [f"{count} x {reason}" for reason, count in self.most_common()]

    def add_to(self, file: Path) -> None:
        """Write them behind what other runs have written."""
        with file.open("a") as output:
            fcntl.flock(output, fcntl.LOCK_EX)
            output.writelines(f"{json.dumps(reason)}\n" for reason in self.elements())

    @classmethod
    def read(cls, file: Path) -> Skips:
        """What all runs wrote; nothing when none skipped a test."""
        return cls(map(json.loads, file.read_text().splitlines())) if file.exists() else cls()
