"""Files in memory with the semantics of a power cut: what was not synced is lost, or a prefix of it survives, torn anywhere."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Interruption = Callable[[], None]
"""Called before a file changes; it may raise."""


@dataclass(slots=True)
class _Content:
    """One file, whatever its name is."""

    durable: bytearray = field(default_factory=bytearray)
    seen: bytearray = field(default_factory=bytearray)
    """What a reader finds while the machine runs."""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(place, bytes written or None for a cut there) since the last sync, in their order."""

    def apply(self, at: int, written: bytes | None) -> None:
        """Do something to the content that is seen."""
        self.pending.append((at, written))
        _change(self.seen, at, written)

    def sync(self) -> None:
        """Make everything durable."""
        self.durable, self.pending = bytearray(self.seen), []

    def lose(self, seed: random.Random) -> None:
        """Keep a prefix of what was not synced."""
        if self.pending:
            kept = seed.randint(0, len(self.pending))
            for at, written in self.pending[:kept]:
                _change(self.durable, at, written)
            if kept < len(self.pending):
                at, written = self.pending[kept]
                if written is not None:
                    _change(self.durable, at, written[: seed.randint(0, len(written))])
        self.seen, self.pending = bytearray(self.durable), []


class SimulatedFiles:
    """The files of one node: storage.files.Files. Owner: the node's disk."""

    def __init__(self) -> None:
        self._names: dict[Path, _Content] = {}
        self._durable_names: list[dict[Path, _Content]] = [{}]
        """Of the folder, at the last sync and after each change since."""
        self._open: dict[int, _Content] = {}
        self._last = 2
        self.before_sync: Interruption | None = None
        """Called before each sync: where the simulator kills."""
        self.before_write: Interruption | None = None
        """Called before each write: a dead node writes nothing."""

    def exists(self, path: Path) -> bool:
        """See Files."""
        return path in self._names

    def open(self, path: Path, *, anew: bool) -> int:
        """See Files."""
        if path not in self._names and not anew:
            raise FileNotFoundError(2, "No such file", str(path))
        if path not in self._names:
            self._names[path] = _Content()
            self._note_names()
        elif anew:
            self._names[path].apply(0, None)
        self._last += 1
        self._open[self._last] = self._names[path]
        return self._last

    def lock(self, descriptor: int, what: str) -> None:
        """See Files; one process at a time has a simulated disk."""

    def is_same(self, descriptor: int, path: Path) -> bool:
        """See Files."""
        return self._names.get(path) is self._open[descriptor]

    def read(self, descriptor: int, bytes_max: int) -> bytes:
        """See Files."""
        return bytes(self._open[descriptor].seen[:bytes_max])

    def write(self, descriptor: int, content: bytes, at: int) -> int:
        """See Files."""
        _interrupt(self.before_write)
        self._open[descriptor].apply(at, content)
        return len(content)

    def cut(self, descriptor: int, size: int) -> None:
        """See Files."""
        _interrupt(self.before_write)
        self._open[descriptor].apply(size, None)

    def sync(self, descriptor: int) -> None:
        """See Files."""
        _interrupt(self.before_sync)
        self._open[descriptor].sync()

    def rename(self, path: Path, target: Path) -> None:
        """See Files."""
        _interrupt(self.before_write)
        self._names[target] = self._names.pop(path)
        self._note_names()

    def sync_folder(self, folder: Path) -> None:
        """See Files; there is one folder."""
        del folder
        _interrupt(self.before_sync)
        self._durable_names = [dict(self._names)]

    def close(self, descriptor: int) -> None:
        """See Files."""
        self._open.pop(descriptor, None)

    # --- what a scenario does to them while their node is down -------------------------------------------------------------------------

    def cut_power(self, seed: random.Random) -> None:
        """Lose what was not synced, but for what happens to have reached the disk."""
        self.before_sync = self.before_write = None
        self._names = dict(
            seed.choice(self._durable_names) if len(self._durable_names) > 1 else self._durable_names[0]
        )
        self._durable_names = [dict(self._names)]
        for content in self._names.values():
            content.lose(seed)
        self._open = {}

    def durable(self, path: Path) -> bytes | None:
        """Return what is surely on the disk; None if the file is not."""
        content = self._durable_names[0].get(path)
        return None if content is None else bytes(content.durable)

    def durable_tail(self, path: Path, size: int) -> bytes:
        """Return the last bytes of what is surely on the disk."""
        content = self._durable_names[0].get(path)
        return b"" if content is None else bytes(content.durable[-size:])

    def put(self, path: Path, data: bytes | None) -> None:
        """Replace a file as an operator does, durably; None removes it."""
        if data is None:
            self._names.pop(path, None)
        else:
            self._names[path] = _Content(durable=bytearray(data), seen=bytearray(data))
        self._durable_names = [dict(self._names)]

    def _note_names(self) -> None:
        self._durable_names.append(dict(self._names))


def _interrupt(interruption: Interruption | None) -> None:
    if interruption is not None:
        interruption()


def _change(content: bytearray, at: int, written: bytes | None) -> None:
    if written is None:
        del content[at:]
        return
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(written)] = written
