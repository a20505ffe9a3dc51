"""What a long campaign has done so far, one line a run, so that `kill -9` costs the runs in flight and no more.

The file is named after the code that runs: outcomes of other code are none of this campaign's, and stay in their own file.
"""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import IO, Any

from metanode._engine import encoding_digest
from metanode.simulation.run import Outcome, Run


class Journal:
    """One file of outcomes, opened for more. Owner: the campaign."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{code_digest()}.jsonl"
        whole = _whole_lines(self.path)
        self.outcomes = [_parse(line) for line in whole.splitlines()]
        """What was done before."""
        self._file: IO[bytes] = self.path.open("r+b" if self.path.exists() else "w+b")
        # A line that was being written when the process was killed is run again.
        self._file.truncate(len(whole))
        self._file.seek(len(whole))

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome: it outlives this process once this returns."""
        self._file.write(format_outcome(outcome).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def code_digest() -> str:
    """Return a digest of the source of every metanode module that this process has loaded, which is what simulations run.

    Of the compiled engine it has what simulations use, so that a journal outlives changes of the rest.
    """
    found = hashlib.sha256(encoding_digest())
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if name.startswith("metanode") and path and path.endswith(".py"):
            found.update(name.encode() + b"\0" + Path(path).read_bytes() + b"\0")
    return found.hexdigest()[:16]


def format_outcome(outcome: Outcome) -> str:
    """Return an outcome as one line of JSON."""
    return json.dumps(dataclasses.asdict(outcome))


def parse_outcome(line: bytes) -> Outcome:
    """Return the outcome of its line."""
    return _parse(line)


def parse_run(fields: dict[str, Any]) -> Run:
    """Return the run of its JSON object."""
    return Run(**{**fields, "without": tuple(fields.get("without", ()))})


def _parse(line: bytes) -> Outcome:
    fields = json.loads(line)
    return Outcome(**{**fields, "run": parse_run(fields["run"])})


def _whole_lines(path: Path) -> bytes:
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1]
