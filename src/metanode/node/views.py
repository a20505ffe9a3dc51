"""What RPC handlers and operators see of the node, in the shapes that they speak."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from metanode.chain.quorum import QuorumRule
from metanode.consensus.evidence import InvalidEvidence, verify_evidence
from metanode.consensus.inputs import Mode
from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from metanode.node.consensus_view import describe_consensus
from metanode.p2p.enode import parse_enode
from metanode.primitives.hexadecimal import encode_data, encode_quantity
from metanode.primitives.types import Height
from metanode.rpc.errors import UnsupportedInMode
from metanode.rpc.evidence import evidence_to_json
from metanode.rpc.ibft import EpochInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from metanode.chain.certificate import Certificate
    from metanode.chain.genesis import Genesis
    from metanode.chain.header import ConsensusHeader
    from metanode.chain.validators import ValidatorSet
    from metanode.consensus.effects import Decided
    from metanode.node.driver import Driver
    from metanode.node.services import ServiceWatch
    from metanode.p2p.network import Network
    from metanode.primitives.types import Address, Hash32
    from metanode.storage.node_store import NodeStore

SILENT_PERIODS: Final = 10
"""A node whose newest block is older than so many periods gets no traffic."""


class ChainView:
    """`rpc.ibft.ChainReader`: the chain and what consensus does, for `ibft_*`."""

    def __init__(
        self, *, genesis: Genesis, driver: Driver, store: NodeStore, network: Network, own: Address | None
    ) -> None:
        self._genesis = genesis
        self._driver = driver
        self._store = store
        self._network = network
        self._own = own

    @property
    def head(self) -> int:
        """The finalized height."""
        return self._driver.final_height

    async def header(self, height: int) -> ConsensusHeader | None:
        """A decided block's header."""
        return await self._store.header(Height(height))

    async def height_of(self, execution_hash: Hash32) -> int | None:
        """The height of the block with this execution hash."""
        return await self._store.height_of(execution_hash)

    async def validators(self, height: int) -> ValidatorSet | None:
        """The set that decides a height, up to the one after the head."""
        return await self._store.validators(Height(height))

    async def certificate(self, height: int) -> Certificate | None:
        """The certificate of a decided height."""
        return await self._store.certificate(Height(height))

    def is_canonical(self, height: int) -> bool:
        """Whether the height's certificate stands in a decided block: true below the head."""
        return height < self.head

    def wishes(self) -> Mapping[Address, bool]:
        """This node's open wishes on membership."""
        return self._driver.wishes

    def propose_vote(self, subject: Address, *, add: bool, force: bool) -> None:
        """Vote for this from the next own block on.

        Raises:
            UnsupportedInMode: under proof of stake.
            InvalidInput: when it would change nothing, or add somebody who could not take part (unless `force`).
        """
        self._check_votes_count()
        if self._own is None:
            raise InvalidInput("this node is no validator and has no vote")
        validators = self._driver.tip.state.validators
        name = format_address(subject)
        if add == (subject in validators):
            raise InvalidInput(f"{name} is {'already' if add else 'not'} a validator")
        if not add and len(validators) == 1:
            raise InvalidInput(f"{name} is the last validator")
        if add and not force:
            self._check_candidate(subject, name)
        self._driver.set_wishes({**self._driver.wishes, subject: add})

    def _check_votes_count(self) -> None:
        """Blocks of a stake network have no votes: a wish would be taken, and nothing would ever come of it."""
        if self._genesis.rules.quorum_rule is not QuorumRule.AUTHORITY:
            raise UnsupportedInMode(
                "method not enabled: this network is under proof of stake, where stakes make the set of validators, not votes"
            )

    def _check_candidate(self, subject: Address, name: str) -> None:
        """A validator that can't take part weakens the quorum from its first block."""
        peer = next((peer for peer in self._network.peers() if peer.proven == subject), None)
        if peer is None:
            raise InvalidInput(
                f"{name} is not connected to this node and has not proved its key; start its node first, "
                'or force the vote (--force; in JSON-RPC the third parameter {"force": true})'
            )
        if peer.height + 1 < self.head:
            raise InvalidInput(
                f"{name} is at height {peer.height} of {self.head}; wait until it has caught up, or force the vote"
            )

    def discard_vote(self, subject: Address) -> None:
        """Drop a wish. Raises UnsupportedInMode under proof of stake."""
        self._check_votes_count()
        self._driver.set_wishes(
            {other: add for other, add in self._driver.wishes.items() if other != subject}
        )

    def consensus_state(self) -> Mapping[str, Any]:
        """What the core is doing: enough to see from one node why a height does not move."""
        return describe_consensus(
            genesis=self._genesis,
            driver=self._driver,
            network=self._network,
            own=self._own,
            now_s=asyncio.get_running_loop().time(),
        )

    async def evidence(self) -> Sequence[Mapping[str, Any]]:
        """Proofs of lies that this node keeps, each verified with the set of its height."""
        domain = self._genesis.rules.domain
        found = []
        for evidence in await self._store.evidence():
            validators = await self._store.validators(evidence.height)
            if validators is not None:
                with contextlib.suppress(InvalidEvidence):
                    rule = verify_evidence(evidence, domain=domain, validators=validators)
                    found.append(evidence_to_json(evidence, rule, domain=domain, validators=validators))
        return found

    def epoch(self) -> EpochInfo:
        """Where the head stands in its epoch."""
        length = self._genesis.parameters.epoch_length
        number, position = divmod(self.head, length)
        return EpochInfo(
            length=length, number=number, first_height=number * length, blocks_left=length - position
        )


class Administration:
    """`rpc.admin.NodeAdministration`, and the status that operators read over HTTP."""

    def __init__(
        self,
        *,
        name: str,
        network_kind: str,
        client: str,
        genesis: Genesis,
        driver: Driver,
        network: Network,
        services: ServiceWatch,
        own: Address | None,
    ) -> None:
        self._name = name
        self._network_kind = network_kind
        self._services = services
        self._client = client
        self._genesis = genesis
        self._driver = driver
        self._network = network
        self._own = own
        self._final: ConsensusHeader | None = None
        self.endpoints: dict[str, str] = {}
        """What this node serves, by name; filled in by the composition root."""

    def upon_decided(self, decided: Decided) -> None:
        """Note a block that has become visible."""
        self._final = decided.block.header

    def node_info(self) -> Mapping[str, Any]:
        """This node, in geth's shape with our additions."""
        enode = self._network.enode
        return {
            "id": "" if enode.node_id is None else enode.node_id.hex(),
            "name": self._client,
            "enode": str(enode),
            "enr": self._network.record,
            "ip": enode.host,
            "ports": {"listener": enode.tcp_port, "discovery": enode.udp_port},
            "listenAddr": self._network.listen_address,
            "protocols": {
                "mtn": {
                    "network": self._genesis.chain_id,
                    "genesis": encode_data(self._genesis.hash),
                    "head": encode_data(self._driver.tip.header.hash),
                }
            },
            "status": dict(self.status()),
        }

    def peers(self) -> Sequence[Mapping[str, Any]]:
        """Connected peers, in geth's shape with our additions."""
        return [
            {
                "id": peer.node_id.hex(),
                "name": peer.client,
                "enode": f"enode://{peer.node_id.hex()}@{peer.address}",
                "caps": [peer.capability],
                "network": {
                    "remoteAddress": peer.address,
                    "inbound": peer.is_inbound,
                    "static": peer.is_static,
                },
                "protocols": {
                    "mtn": {
                        "height": encode_quantity(peer.height),
                        "validator": None if peer.proven is None else encode_data(peer.proven),
                        "clockSkewMs": peer.clock_skew_ms,
                        "roundTripMs": peer.round_trip_ms,
                        "connectedSeconds": round(peer.connected_s),
                    }
                },
            }
            for peer in self._network.peers()
        ]

    def add_peer(self, enode: str) -> None:
        """Connect to this peer, and keep it connected."""
        self._network.add_peer(parse_enode(enode))

    def remove_peer(self, enode: str) -> bool:
        """Disconnect and forget a peer."""
        return self._network.remove_peer(parse_enode(enode))

    def status(self) -> Mapping[str, Any]:
        """The node in one glance; height, hash and time are of one block, the newest that can be read."""
        header = self._final_header()
        return {
            "network": self._genesis.network_name,
            "kind": self._network_kind,
            "node": self._name,
            "chain_id": self._genesis.chain_id,
            "version": self._client,
            "state": self._driver.mode.value,
            "halted": None if self._driver.halted is None else str(self._driver.halted),
            "height": self._driver.final_height if header is None else header.height,
            "block_hash": None if header is None else encode_data(header.execution_hash),
            "timestamp": None if header is None else header.timestamp,
            "validator": None if self._own is None else format_address(self._own),
            "validators": [
                format_address(address) for address in self._driver.tip.state.validators.addresses
            ],
            "peers": len(self._network.peers()),
            "endpoints": self.endpoints,
            "services": self._services.status(),
        }

    def unhealthy_reason(self) -> str | None:
        """Why an operator must look at this node."""
        halted = self._driver.halted
        if halted is not None:
            return f"halted: {halted}"
        if self._driver.is_key_shared:
            return "another process signs with this validator's key: stop one of the two, then start this one again"
        return None

    def unready_reason(self, now_s: float) -> str | None:
        """Why the node should get no traffic."""
        if not self._driver.is_running:
            return "starting"
        if (halted := self.unhealthy_reason()) is not None:
            return halted
        if self._driver.mode is not Mode.LIVE:
            return f"{self._driver.mode.value}: height {self._driver.final_height}"
        age_s = now_s - (self._final_header() or self._driver.tip.header).timestamp
        if self._driver.final_height > 0 and age_s > SILENT_PERIODS * self._genesis.parameters.period_s:
            return f"no block for {age_s:.0f} s"
        return None

    def _final_header(self) -> ConsensusHeader | None:
        """The newest block that can be read. The driver's tip may be on its way to the disk; None while a start catches up with it."""
        tip = self._driver.tip.header
        return self._final or (tip if tip.height == self._driver.final_height else None)
