"""`BootstrapConfig`: what an operator may set, in code or in a TOML file. Times in seconds, as the toolkit's document has them."""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from metanode.errors import InvalidInput
from metanode.p2p.enode import Enode, is_host, parse_enode

PORT_MAX: Final = 65_535
CHAIN_ID_MAX: Final = 2**53 - 1
"""What every wallet can read."""
_PEERS_MAX: Final = 20_000
"""A listed peer takes about 1 kB of memory and 300 bytes on disk, and is asked every few minutes whether it is still there."""
_TIMEOUT_S_MAX: Final = 30 * 86_400
_BOOTSTRAP_NODES_MAX: Final = 100
_SECTION: Final = "bootstrap"
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """Where a bootstrap node listens, whom it lists, and where it keeps that.

    Raises:
        InvalidInput: when made with impossible values; one line for each.
    """

    listen_address: str = "127.0.0.1"
    """IP address of both sockets; "0.0.0.0" lets other machines in."""
    listen_port: int = 30303
    """UDP for discovery and TCP for greetings, the same number; 0 lets the system choose."""
    max_peers: int = 1000
    """Listed at once."""
    peer_timeout: int = 3600
    """Seconds after which a peer that was not seen is listed no more."""
    chain_id: int = 9999
    """EIP-155 chain id; peers of another one are not listed."""
    genesis_hash: str | None = None
    """0x and 64 digits; peers of another genesis with the same chain id are not listed either. None compares chain ids only."""
    advertised_address: str | None = None
    """Name or IP address under which others reach this node; None takes the listening one, or this machine's only one."""
    advertised_port: int | None = None
    """Port under which they do; None is the listening one."""
    http_address: str = "127.0.0.1"
    """IP address of `http_port`."""
    http_port: int | None = None
    """The registry, health and metrics over HTTP, read only; 0 lets the system choose, None serves none."""
    data_dir: Path | None = None
    """Holds the node's key and the registry over restarts; None keeps both in memory."""
    bootstrap_nodes: tuple[str, ...] = ()
    """`enode://` addresses of other bootstrap nodes to start from."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data_dir", None if self.data_dir is None else Path(self.data_dir))
        if isinstance(self.bootstrap_nodes, list):
            object.__setattr__(self, "bootstrap_nodes", tuple(self.bootstrap_nodes))
        if problems := self._problems():
            raise InvalidInput("\n".join(problems))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a TOML file: the fields above at its top, or in a table `[bootstrap]` beside other services' tables.

        Raises:
            InvalidInput: when it can't be read, or a field is wrong or not known; the message names the file and the field.
        """
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{path}: expected TOML: {error}") from None
        section = document.get(_SECTION, document)
        if not isinstance(section, dict):
            raise InvalidInput(f"{path}: {_SECTION}: expected a table, found {section!r:.80}")
        try:
            config = cls.from_dict(section)
        except InvalidInput as error:
            raise InvalidInput("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None
        # As a person who reads the file expects: beside it, wherever the command is started.
        if config.data_dir is not None and not config.data_dir.is_absolute():
            object.__setattr__(config, "data_dir", Path(path).absolute().parent / config.data_dir)
        return config

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Make a configuration from a mapping; raises InvalidInput also for a name that is not known."""
        known = [field.name for field in fields(cls)]
        problems = []
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; expected {', '.join(known)}"
                problems.append(f"{name}: no such setting{hint}")
        if problems:
            raise InvalidInput("\n".join(problems))
        return cls(**values)

    @property
    def enodes(self) -> tuple[Enode, ...]:
        """`bootstrap_nodes`, parsed."""
        return tuple(parse_enode(text) for text in self.bootstrap_nodes)

    def _problems(self) -> list[str]:
        numbers = {
            "listen_port": (0, PORT_MAX),
            "max_peers": (1, _PEERS_MAX),
            "peer_timeout": (1, _TIMEOUT_S_MAX),
            "chain_id": (1, CHAIN_ID_MAX),
        }
        optional = {"http_port": (0, PORT_MAX), "advertised_port": (1, PORT_MAX)}
        numbers |= {name: bounds for name, bounds in optional.items() if getattr(self, name) is not None}
        problems = [
            f"{name}: expected a whole number from {low:,} to {high:,}, found {getattr(self, name)!r:.60}"
            for name, (low, high) in numbers.items()
            if type(getattr(self, name)) is not int or not low <= getattr(self, name) <= high
        ]
        problems += [
            f"{name}: expected an IP address such as 127.0.0.1 or 0.0.0.0, found {getattr(self, name)!r:.80}"
            for name in ("listen_address", "http_address")
            if not _is_ip(getattr(self, name))
        ]
        host: Any = self.advertised_address
        if host is not None and not (isinstance(host, str) and is_host(host)):
            problems.append(f"advertised_address: expected a name or an IP address, found {host!r:.80}")
        genesis: Any = self.genesis_hash
        if genesis is not None and not (isinstance(genesis, str) and _HASH.fullmatch(genesis)):
            problems.append(f"genesis_hash: expected 0x and 64 hexadecimal digits, found {genesis!r:.80}")
        if self.http_port and self.http_port == self.listen_port and self.http_address == self.listen_address:
            problems.append(
                f"http_port: found {self.http_port}, which is listen_port; expected another one, both are TCP"
            )
        return problems + self._enode_problems()

    def _enode_problems(self) -> list[str]:
        nodes: Any = self.bootstrap_nodes
        if not isinstance(nodes, tuple) or len(nodes) > _BOOTSTRAP_NODES_MAX:
            return [
                f"bootstrap_nodes: expected a list of at most {_BOOTSTRAP_NODES_MAX} enode:// addresses, found {nodes!r:.80}"
            ]
        problems = []
        for index, text in enumerate(nodes):
            try:
                enode = parse_enode(text if isinstance(text, str) else repr(text))
            except InvalidInput as error:
                problems.append(f"bootstrap_nodes[{index}]: {error}")
                continue
            if enode.node_id is None:
                problems.append(
                    f"bootstrap_nodes[{index}]: expected enode://ID@HOST:PORT with the node's id, found {text!r:.80}"
                )
        return problems


def _is_ip(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
