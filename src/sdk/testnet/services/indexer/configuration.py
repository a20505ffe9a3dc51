"""What an indexer is told."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_CHARACTERS_MAX: Final = 64
STANDSTILL_S: Final = 10.0
"""Five blocks of most networks. Comparing costs each other node four calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexerConfig:
    """Whom to ask, and what to call accounts. Raises InvalidInput that names the field."""

    rpc_urls: tuple[str, ...]
    """Nodes of one network, by their JSON-RPC over HTTP; the first that answers is followed. WebSocket is the same address with ws."""
    names: Mapping[bytes, str] = field(default_factory=dict)
    """Names of accounts, for people: 20 bytes to at most 64 characters."""
    poll_interval_s: float = 1.0
    """How often the node is asked for its head while no WebSocket says when it moves."""

    standstill_s: float = STANDSTILL_S
    """A node that has had no new block for so long is compared with the others, and left for one that is further."""

    def __post_init__(self) -> None:
        if not self.rpc_urls:
            raise InvalidInput(
                "rpc_urls: found none; expected the URL of a node's RPC, such as http://127.0.0.1:8545"
            )
        for url in self.rpc_urls:
            websocket_url(url)
        if not 0.01 <= self.poll_interval_s <= 60:
            raise InvalidInput(f"poll_interval_s: found {self.poll_interval_s}; expected 0.01 to 60")
        if not 0 <= self.standstill_s <= 3_600:
            raise InvalidInput(f"standstill_s: found {self.standstill_s}; expected 0 to 3600")
        for address, name in self.names.items():
            if len(address) != 20 or not 1 <= len(name) <= NAME_CHARACTERS_MAX or not name.isprintable():
                raise InvalidInput(
                    f"names: found {name!r:.80} for 0x{address.hex()}; expected 1 to {NAME_CHARACTERS_MAX} printable "
                    "characters for 20 bytes"
                )


def websocket_url(url: str) -> str:
    """Return where a node at this HTTP URL serves WebSocket; raises InvalidInput for what is no http URL."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
            return urlunsplit(parts._replace(scheme="ws" if parts.scheme == "http" else "wss"))
    raise InvalidInput(f"rpc_urls: found {url[:200]!r}; expected http://HOST:PORT or https://HOST:PORT")
