"""What the pages of one network have in common: its name, its coin, where its other pages are."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Final

from metanode.errors import InvalidInput
from sdk.testnet.services.configuration import is_url

HUES: Final = 6
"""Colours of the banner, so that two networks in two tabs look different."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NavigationEntry:
    """One entry of the navigation."""

    key: str
    """A page says it to mark where the reader is."""
    label: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One network as its pages speak of it; each service has its own with the same network and other navigation."""

    network_name: str
    chain_id: int
    currency_symbol: str = "ETH"
    """As wallets show the coin; 18 decimals."""
    own_url: str = ""
    """Of the explorer, inside the explorer itself: what is told to wallets."""
    explorer_url: str = ""
    """Where addresses, blocks and transactions have their pages; empty inside the explorer itself."""
    faucet_url: str = ""
    """Empty when the network has no faucet page."""
    api_url: str = ""
    """Of the community API; empty when there is none."""
    rpc_url: str = ""
    """JSON-RPC for wallets, as a browser reaches it."""
    reset_policy: str = ""
    """When the network starts anew, in a sentence; empty when nobody has said."""
    service: str = "Explorer"
    """What this site is: the word beside the name."""
    navigation: tuple[NavigationEntry, ...] = field(default=())
    names: dict[str, str] = field(default_factory=dict)
    """Known accounts: address in lower case to name, e.g. of validators, faucet and predeploys."""

    def __post_init__(self) -> None:
        for name in ("own_url", "explorer_url", "faucet_url", "api_url", "rpc_url"):
            url: str = getattr(self, name)
            if url and not is_url(url):
                raise InvalidInput(f"{name}: expected a URL with http:// or https://, found {url!r:.100}")

    @property
    def hue(self) -> int:
        """Which of the banner's colours is this network's, from 0."""
        return zlib.crc32(self.network_name.encode()) % HUES

    def network_document(self) -> dict[str, object]:
        """The network as wallets take it (EIP-3085)."""
        explorer = self.explorer_url or self.own_url
        return {
            "chainId": hex(self.chain_id),
            "chainName": self.network_name,
            "nativeCurrency": {
                "name": self.currency_symbol,
                "symbol": self.currency_symbol,
                "decimals": 18,
            },
            "rpcUrls": [self.rpc_url] if self.rpc_url else [],
            "blockExplorerUrls": [explorer] if explorer else [],
        }

    def link(self, kind: str, name: object) -> str:
        """Return where the explorer shows a thing: kind is `block`, `tx`, `address`, `token` or `validator`."""
        return f"{self.explorer_url}/{kind}/{name}"

    def name_of(self, address: str) -> str:
        """Return an account's known name, or nothing."""
        return self.names.get(address.lower(), "")
