"""What the community API is told."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from metanode.errors import InvalidInput
from sdk.testnet.faucet.client_address import LOOPBACK, IPNetwork

log = structlog.get_logger()

SCOPES: Final = ("read", "faucet", "verify")
"""What keys are for."""
GONE_SCOPES: Final = frozenset({"admin"})
"""What files of earlier versions may name, and what never opened anything: what is for operators is behind their password."""
USUAL_SCOPES: Final = frozenset(SCOPES)
ANONYMOUS_A_MINUTE: Final = 60
KEYED_A_MINUTE: Final = 600
KEYS_A_DAY: Final = 5
VERSION: Final = "1.0.0"
"""Of the API: fields and paths come in a minor one, and go in a major one."""
_KEY: Final = re.compile(r"evk_([0-9a-f]{8})_([0-9a-f]{32})", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: only its hash."""

    id: str
    """Eight digits, the public part."""
    sha256: bytes
    name: str
    expires_at: int | None = None
    """Seconds since 1970; None for never."""
    scopes: frozenset[str] = USUAL_SCOPES
    """Some of `SCOPES`."""

    def __post_init__(self) -> None:
        wrong = sorted(self.scopes - set(SCOPES))
        if wrong or not self.scopes:
            found = wrong[0] if wrong else "none"
            raise InvalidInput(f"scopes: found {found!r:.60}; expected some of {', '.join(SCOPES)}")

    def is_of(self, text: str) -> bool:
        """Tell whether this is the key, and still valid."""
        same = secrets.compare_digest(hashlib.sha256(text.encode()).digest(), self.sha256)
        return same and (self.expires_at is None or time.time() < self.expires_at)


def new_key(
    name: str, *, expires_at: int | None = None, scopes: frozenset[str] = USUAL_SCOPES
) -> tuple[str, ApiKey]:
    """Return a new key's text, which is shown once, and what is kept of it.

    To replace a key, configure the new one beside it and let the old one expire when its users have changed.
    """
    key_id = secrets.token_hex(4)
    text = f"evk_{key_id}_{secrets.token_hex(16)}"
    digest = hashlib.sha256(text.encode()).digest()
    return text, ApiKey(id=key_id, sha256=digest, name=name, expires_at=expires_at, scopes=scopes)


def key_id(text: str) -> str | None:
    """Return the public part of a key's text; None for what is no key."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """One API. Raises InvalidInput that names the field."""

    network_name: str
    chain_id: int
    public_url: str
    """As people reach it, without a slash at the end; links are made of it and never of a Host header."""
    rpc_url: str = ""
    """JSON-RPC for wallets."""
    ws_url: str = ""
    """The same over WebSocket; empty: at the same place, as nodes and gateway have it."""
    explorer_url: str = ""
    faucet_url: str = ""
    currency_symbol: str = "ETH"
    reset_policy: str = ""
    block_time_s: int = 0
    """Seconds between blocks; 0 asks the nodes."""
    keys: tuple[ApiKey, ...] = ()
    anonymous_a_minute: int = ANONYMOUS_A_MINUTE
    """Cost units for each client: an IPv4 address, or an IPv6 /64."""
    keyed_a_minute: int = KEYED_A_MINUTE
    """For each key."""
    keys_a_day: int = KEYS_A_DAY
    """That a client may make for itself; a /24 or an IPv6 /48 four times as many. 0: nobody makes any."""
    post_origins: tuple[str, ...] = ()
    """Origins of pages that may POST; anybody may GET."""
    trusted_proxies: tuple[IPNetwork, ...] = LOOPBACK
    redis_url: str = ""
    """Where several processes count together; empty counts in this one."""
    cursor_secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    """Signs cursors; processes that serve one address have to share it."""

    def __post_init__(self) -> None:
        if not self.public_url.startswith(("http://", "https://")) or self.public_url.endswith("/"):
            raise InvalidInput(
                f"public_url: found {self.public_url!r:.80}; expected http(s)://HOST without a slash at the end"
            )
        for name in ("anonymous_a_minute", "keyed_a_minute"):
            if not 1 <= getattr(self, name) <= 1_000_000:
                raise InvalidInput(f"{name}: found {getattr(self, name)}; expected 1 to 1000000")
        if not 0 <= self.keys_a_day <= 1_000:
            raise InvalidInput(f"keys_a_day: found {self.keys_a_day}; expected 0 to 1000")
        if len(self.cursor_secret) < 16:
            raise InvalidInput("cursor_secret: expected at least 16 bytes")
        if len({key.id for key in self.keys}) != len(self.keys):
            raise InvalidInput("keys: two have the same id")

    @property
    def websocket_url(self) -> str:
        """Where JSON-RPC is spoken over WebSocket; empty where nobody says where JSON-RPC is."""
        return self.ws_url or self.rpc_url.replace("http", "ws", 1)

    def key_of(self, text: str) -> ApiKey | None:
        """Return the key of this text; None for a wrong or expired one."""
        found = key_id(text)
        return next((key for key in self.keys if key.id == found and key.is_of(text)), None)


def read_keys(entries: Any) -> tuple[ApiKey, ...]:
    """Return the keys of a configuration's `[[api.keys]]` tables: `id`, `sha256`, `name`, `expires_at`, `scopes`. Raises InvalidInput."""
    if not isinstance(entries, list):
        raise InvalidInput("api.keys: expected tables [[api.keys]]")
    keys = []
    for place, entry in enumerate(entries):
        where = f"api.keys[{place}]"
        if not isinstance(entry, Mapping) or set(entry) - {"id", "sha256", "name", "expires_at", "scopes"}:
            raise InvalidInput(f"{where}: expected id, sha256, name and, if wanted, expires_at and scopes")
        if not _HASH.fullmatch(str(entry.get("sha256"))):
            raise InvalidInput(f"{where}.sha256: expected 64 hexadecimal digits")
        if not re.fullmatch(r"[0-9a-f]{8}", str(entry.get("id"))):
            raise InvalidInput(f"{where}.id: expected 8 hexadecimal digits")
        expires_at = entry.get("expires_at")
        if expires_at is not None and not isinstance(expires_at, int):
            raise InvalidInput(f"{where}.expires_at: expected seconds since 1970")
        scopes = entry.get("scopes", sorted(USUAL_SCOPES))
        if not isinstance(scopes, list):
            raise InvalidInput(f"{where}.scopes: expected a list of some of {', '.join(SCOPES)}")
        if gone := GONE_SCOPES.intersection(map(str, scopes)):
            scopes = [scope for scope in scopes if str(scope) not in gone]
            log.warning(
                "api_key_scope_gone",
                api_key=str(entry["id"]),
                reason=f"{where}.scopes: {', '.join(sorted(gone))} opens nothing and is left out"
                + (
                    "; delete it there"
                    if scopes
                    else ", and the key with it, which is for nothing else; delete it"
                ),
            )
            if not scopes:
                continue
        try:
            key = ApiKey(
                id=str(entry["id"]),
                sha256=bytes.fromhex(str(entry["sha256"])),
                name=str(entry.get("name", "")),
                expires_at=expires_at,
                scopes=frozenset(str(scope) for scope in scopes),
            )
        except InvalidInput as error:
            raise InvalidInput(f"{where}.{error}") from None
        keys.append(key)
    return tuple(keys)
