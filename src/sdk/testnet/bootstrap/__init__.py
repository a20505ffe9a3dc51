"""The bootstrap node: the one address that a new node has to know to find all others.

`BootstrapNode` speaks discv4 (UDP) and greets over RLPx (TCP) on one port number, keeps a registry of peers, and shows it over HTTP. The rooms:
`configuration` (what an operator may set), `registry` (who is listed, pure), `storing` (the registry on disk), `greeting` (the RLPx handshake that
tells a peer's chain), `web` (the registry over HTTP), `node` (all of it, and `run_bootstrap`). The protocol itself is `metanode.p2p.discv4`.
"""

from sdk.testnet.bootstrap.configuration import BootstrapConfig
from sdk.testnet.bootstrap.node import BootstrapNode, run_bootstrap
from sdk.testnet.bootstrap.registry import BootstrapPeer

__all__ = ["BootstrapConfig", "BootstrapNode", "BootstrapPeer", "run_bootstrap"]
