"""The registry on disk: one JSON file, replaced whole, so that a kill at any moment leaves the old one or the new one. Everything here blocks.

A directory belongs to one running node: `locked` holds it. What cannot be read is set aside and told, and the node begins with nobody: who is there
is learnt again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import structlog

from metanode.errors import InvalidInput, StorageFailed
from metanode.primitives.json_text import parse_json
from sdk.testnet.bootstrap.registry import BootstrapPeer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

FORMAT: Final = 1
FILE: Final = "peers.json"
_FILE_BYTES_MAX: Final = 32 * 1024 * 1024
"""Twenty thousand peers with the longest fields take less."""
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "node_id": (str,), "address": (str,), "port": (int,), "udp_port": (int,), "version": (str,), "verified": (bool,),
    "registered": (bool,), "chain_id": (int, type(None)), "first_seen": (int, float), "last_seen": (int, float),
}  # fmt: skip


def load_peers(directory: Path, chain_id: int, *, set_aside: bool = False) -> tuple[list[BootstrapPeer], int]:
    """Return (the saved peers, how many were ever seen); nothing of another chain's directory.

    A damaged file is moved away with `set_aside`, which needs the directory's lock: without it the file may be another node's.

    Raises:
        InvalidInput: when the directory holds the peers of another chain.
        StorageFailed: when the disk refuses to read.
    """
    path = directory / FILE
    try:
        found, peers, total_seen = _decode(path)
    except FileNotFoundError:
        return [], 0
    except OSError as error:
        raise StorageFailed(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if not set_aside:
            return [], 0
        aside = path.with_suffix(".damaged")
        with contextlib.suppress(OSError):
            path.replace(aside)
        log.warning("bootstrap_registry_damaged", path=str(path), kept_as=str(aside), error=str(error)[:200])
        return [], 0
    if found != chain_id:
        raise InvalidInput(
            f"chain_id: found {chain_id}, but {path} has the peers of chain {found!r:.60}; expected another data_dir, or that chain id"
        )
    return peers, total_seen


def save_peers(directory: Path, chain_id: int, peers: Sequence[BootstrapPeer], total_seen: int) -> None:
    """Replace the file; raises StorageFailed when the disk refuses, and then the old file stands."""
    document = {
        "format": FORMAT,
        "chain_id": chain_id,
        "total_peers_seen": total_seen,
        "peers": [{name: getattr(peer, name) for name in _TYPES} for peer in peers],
    }
    path = directory / FILE
    # Always the same name: what a kill leaves behind is overwritten by the next save.
    unfinished = directory / f".{FILE}.new"
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=0)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageFailed(f"{path}: {error.strerror}") from error


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Make the directory and keep it to this process; raises InvalidInput when another one has it, StorageFailed when the disk refuses."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageFailed(f"{directory}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidInput(
                f"data_dir: found {directory}, which another bootstrap node uses; expected a directory of its own"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _decode(path: Path) -> tuple[Any, list[BootstrapPeer], int]:
    """The chain id, the peers and the count of a file; raises OSError, ValueError, KeyError, TypeError."""
    if path.stat().st_size > _FILE_BYTES_MAX:
        raise ValueError(f"it has more than {_FILE_BYTES_MAX:,} bytes")
    document = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f"expected an object with the format {FORMAT}")
    peers = [_peer(entry) for entry in document["peers"]]
    return document["chain_id"], peers, int(document["total_peers_seen"])


def _peer(entry: Any) -> BootstrapPeer:
    """A peer of the file; raises ValueError."""
    if not isinstance(entry, dict) or set(entry) != set(_TYPES):
        raise ValueError(f"a peer with other fields: {entry!r:.100}")
    for name, kinds in _TYPES.items():
        if not isinstance(entry[name], kinds) or (isinstance(entry[name], bool) and bool not in kinds):
            raise ValueError(f"{name}: found {entry[name]!r:.80}")
    return BootstrapPeer(**entry)


assert set(_TYPES) == {field.name for field in fields(BootstrapPeer)}
