"""`admin_*`: peers and the node itself, on the private listener only. Shapes follow geth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from metanode.rpc import parameters
from metanode.rpc.errors import InvalidParams
from metanode.rpc.method import Method

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class NodeAdministration(Protocol):
    """What these methods read and change."""

    def node_info(self) -> Mapping[str, Any]:
        """This node, ready for JSON."""

    def peers(self) -> Sequence[Mapping[str, Any]]:
        """Connected peers, ready for JSON."""

    def add_peer(self, enode: str) -> None:
        """Connect to this peer, and again whenever the connection is lost. Raises InvalidInput."""

    def remove_peer(self, enode: str) -> bool:
        """Disconnect and forget a peer; False when it was not known. Raises InvalidInput."""


def admin_methods(node: NodeAdministration) -> dict[str, Method]:
    """Every method by its name."""
    methods = _AdminMethods(node)
    return {
        "admin_nodeInfo": Method(
            "() -> NodeInfo",
            "This node as geth shows one, and `status` as in `/api/v1/status`.",
            methods.node_info,
        ),
        "admin_peers": Method(
            "() -> Peer[]",
            "Connected peers as geth shows them; `protocols.mtn` has `height`, `validator` (proven, or `null`), "
            "`clockSkewMs`, `roundTripMs`, `connectedSeconds`.",
            methods.peers,
        ),
        "admin_addPeer": Method(
            "(enode: Enode) -> Boolean",
            "Connects to a peer, and again whenever the connection is lost.",
            methods.add_peer,
        ),
        "admin_removePeer": Method(
            "(enode: Enode) -> Boolean",
            "Keeps a peer connected no longer; whether it was kept. Validators of the set connect to each other all "
            "the same.",
            methods.remove_peer,
        ),
    }


class _AdminMethods:
    def __init__(self, node: NodeAdministration) -> None:
        self._node = node

    async def node_info(self, params: Sequence[Any]) -> dict[str, Any]:
        parameters.check_count(params, 0)
        return dict(self._node.node_info())

    async def peers(self, params: Sequence[Any]) -> list[dict[str, Any]]:
        parameters.check_count(params, 0)
        return [dict(peer) for peer in self._node.peers()]

    async def add_peer(self, params: Sequence[Any]) -> bool:
        parameters.check_count(params, 1)
        self._node.add_peer(_enode(params))
        return True

    async def remove_peer(self, params: Sequence[Any]) -> bool:
        parameters.check_count(params, 1)
        return self._node.remove_peer(_enode(params))


def _enode(params: Sequence[Any]) -> str:
    value = parameters.required(params, 0)
    if not isinstance(value, str):
        raise InvalidParams("invalid argument 0: expected an enode:// address")
    return value
