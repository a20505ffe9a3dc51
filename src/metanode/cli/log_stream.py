"""The logs of several nodes as one stream, each line after the name of its node.

Lines of nodes begin with their time, and what services write as JSON is made such lines, so what is already there comes in the order of time: a line
without one, as of a traceback, stays behind the line before it. What is written later comes as it is found. A log is followed by its name: it may be cut to nothing, or not exist yet. Who cuts it puts its end into NAME.log.1, and by that a cut is
known also when the log has grown past the reader's place again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metanode.cli.log_line import readable, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

LINE_BYTES = 400
"""Assumed of a line when its log's end is looked up: longer than nearly all. Where lines are longer, more is read."""
READ_BYTES_MAX = 1 << 20
"""Of one log at a time. A healthy node writes far less between two looks. One that strangers make write may write 41 MB a second: it is followed late,
and what its log loses meanwhile is left out, which `CUT` says."""
CUT = "(the log was begun anew here; lines before may be left out)"
"""Stands in the stream in place of what can't be known to have been read."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a node's log."""

    node: str
    text: str

    def aligned(self, width: int) -> str:
        """The line behind its node's name, in a column of this width."""
        return f"{self.node:<{width}} | {self.text}"


class LogStream:
    """Reads logs by node name. Owner: one caller, one thread."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = dict(files)
        self._positions = dict.fromkeys(files, 0)
        self._partial = dict.fromkeys(files, b"")
        self._old = {node: _identity(path) for node, path in files.items()}

    def last(self, count: int) -> list[Line]:
        """Return the last `count` lines of each log, in the order of time; `new` goes on after them."""
        found: list[tuple[str, Line]] = []
        for node, path in self._files.items():
            self._old[node] = _identity(path)
            size = path.stat().st_size if path.exists() else 0
            if count == 0:
                self._positions[node] = size
            else:
                found += list(_timed(self._end(node, size, count)))[-count:]
        return [line for _, line in sorted(found, key=lambda timed: timed[0])]

    def _end(self, node: str, size: int, count: int) -> list[Line]:
        """Whole lines at the end of a log of this size: so many where it has them, or what is read at a time holds them."""
        wanted = count * LINE_BYTES
        while True:
            read = min(size, READ_BYTES_MAX, wanted)
            self._positions[node], self._partial[node] = size - read, b""
            lines = list(self._read(node))
            if read == size:
                return lines
            # The first one is only the end of a line, where the reading began in its middle.
            if len(lines) > count or read == READ_BYTES_MAX:
                return lines[1:]
            wanted *= 4

    def new(self) -> list[Line]:
        """Return the whole lines that were written since the last call."""
        return [line for node in self._files for line in self._read(node)]

    def _read(self, node: str) -> Iterator[Line]:
        path = self._files[node]
        try:
            old = _identity(path)
            with path.open("rb") as file:
                size = file.seek(0, 2)
                if size < self._positions[node]:
                    # Cut after the look at the old one, perhaps, which is not to be told as a second cut.
                    old = _identity(path)
                    self._positions[node], self._partial[node] = 0, b""
                if old != self._old[node]:
                    self._positions[node], self._partial[node] = 0, b""
                    self._old[node] = old
                    yield Line(node, CUT)
                file.seek(self._positions[node])
                data = file.read(READ_BYTES_MAX)
        except FileNotFoundError:
            return
        self._positions[node] += len(data)
        *lines, partial = (self._partial[node] + data).split(b"\n")
        # A line without an end is no line of ours: its beginning is let go.
        self._partial[node] = partial[-READ_BYTES_MAX:]
        for text in lines:
            for shown in readable(text.decode(errors="replace")):
                yield Line(node, shown)


def _timed(lines: Iterable[Line]) -> Iterator[tuple[str, Line]]:
    """Lines of one log with the time of each, or of the line before."""
    at = ""
    for line in lines:
        at = time_of(line.text) or at
        yield at, line


def _identity(log: Path) -> tuple[int, int] | None:
    """Which file NAME.log.1 is: another one after each cut."""
    try:
        found = log.with_name(log.name + ".1").stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
