"""What must hold after every event, checked by code that shares nothing with the core but the rules of the chain.

Agreement; certificates that an independent verifier accepts (`verifier`); no conflicting signatures of an honest key over all its lives, nor
any below one before, nor a round change that forgot a prepared block (`key_history`); nothing relied on before it is durable (`durability`); no
honest PREPARE for a block that no honest execution client has found valid; rounds and heights never fall; times rise; a deadline runs in
every live node; nobody honest is accused; memory stays within a bound, and so does what a node sends in a second.
"""

import asyncio
from typing import TYPE_CHECKING, Final

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.parameters import ChainRules
from metanode.chain.state import ConsensusState, next_state
from metanode.consensus.effects import Decided
from metanode.consensus.messages import Decision, Message, Prepare
from metanode.primitives.types import Hash32, Height, Round
from metanode.simulation.broken import InvariantBroken, find_broken
from metanode.simulation.durability import check_decided, check_sent
from metanode.simulation.key_history import KeyHistory
from metanode.simulation.node import SimulatedNode
from metanode.simulation.trace import Trace
from metanode.simulation.verifier import Verifier

if TYPE_CHECKING:
    from metanode.node.driver import Driver

SENT_A_SECOND_MAX: Final = 128
"""Own messages of one node: four to a round, a round a second, and up to 64 again when a life begins."""


__all__ = ["Checker", "InvariantBroken"]


class Checker:
    """Sees every event of a cluster, and keeps the trace. Owner: the cluster."""

    def __init__(self, rules: ChainRules, genesis_state: ConsensusState) -> None:
        self._rules = rules
        self.trace = Trace()
        self._keys = KeyHistory()
        self._verifier = Verifier(
            chain_id=rules.chain_id,
            genesis_hash=rules.genesis_hash,
            needs_more_than_two_thirds=rules.quorum_rule.value == "stake",
        )
        self._valid: set[Hash32] = set()
        """Hashes of execution blocks that an honest node's client has found valid."""
        self._execution_of: dict[Hash32, Hash32] = {}
        """Of blocks that honest nodes voted for."""
        self._views: dict[int, tuple[Driver, tuple[Height, Round]]] = {}
        self._heights: dict[int, Height] = {}
        self._evidence_seen: dict[int, int] = {}
        self._states = [genesis_state]
        self.blocks: list[Block] = []
        """The one chain."""
        self.decided_at: dict[tuple[int, Height], float] = {}
        """When each node showed each height, by the loop's clock."""
        self.rounds: dict[Height, Round] = {}
        """Round of the first decision of each height."""
        self.nodes: list[SimulatedNode] = []
        self.sent: dict[str, int] = {}
        """Messages sent, by kind."""
        self.sent_by: dict[int, int] = {}
        """Messages sent, by node."""
        self._sent_now: dict[int, tuple[int, int]] = {}
        self._certificates: set[Hash32] = set()
        self.expects_halts = False
        """True where more lie than the protocol tolerates: two blocks at one height, and nodes that halt, are then the story."""
        self.may_halt: set[int] = set()
        """Nodes whose own fault makes them halt in this story; nothing else is allowed."""
        self.checks_keys = True
        """False lets honest keys contradict themselves, to see what comes of it."""

    def note(self, *facts: object) -> None:
        """Add an event to the trace."""
        self.trace.note(*facts)

    def upon_sent(self, sender: int, message: Message) -> None:
        """Look at a message of a node's own, as it leaves."""
        kind = type(message).__name__
        self.sent[kind] = self.sent.get(kind, 0) + 1
        self.sent_by[sender] = self.sent_by.get(sender, 0) + 1
        self._check_pace(sender)
        self.upon_answered(sender, message)

    def upon_answered(self, sender: int, message: Message) -> None:
        """Look at a message of a node's own that one peer gets."""
        node = self.nodes[sender]
        if isinstance(message, Decision):
            if not node.is_byzantine and not node.is_halted:
                check_sent(sender, node.disk, message)
            return
        if node.is_halted:
            raise InvariantBroken(f"node {sender} has halted and sends {type(message).__name__}")
        if node.is_byzantine or not self.checks_keys or message.author != node.address:
            return
        if self._keys.add(message):
            check_sent(sender, node.disk, message)
            if isinstance(message, Prepare):
                self._check_executed(node, message.block_hash)

    def upon_valid(self, node: SimulatedNode, execution_hash: Hash32) -> None:
        """Hear that a node's execution client has found a block valid."""
        if not node.is_byzantine:
            self._valid.add(execution_hash)

    def upon_head(self, node: SimulatedNode, number: int) -> None:
        """Look at a node whose execution client has made a block final."""
        if not node.is_byzantine:
            check_decided(node.index, node.disk, number, "has finalized")

    def upon_delivered(self, receiver: int) -> None:
        """Look at a node that has taken a message."""
        self._check_node(self.nodes[receiver])

    def upon_handled(self, node: SimulatedNode) -> None:
        """Look at a node whose core has handled an event: a message, a deadline, a write that is durable, a verdict."""
        self._check_node(node)

    def upon_decided(self, node: SimulatedNode, decided: Decided) -> None:
        """Look at a block that has become visible."""
        self.note("decided", node.index, decided.block.height, decided.block.hash, decided.certificate.round)
        if not node.is_byzantine:
            check_decided(node.index, node.disk, decided.block.height, "shows")
        self._see(node, decided.block, decided.certificate)

    def upon_life(self, node: SimulatedNode) -> None:
        """Look at what a life begins with: a block may have become durable in the moment of a crash, and was not shown."""
        disk = node.disk
        for height in range(self._heights.get(node.index, 0) + 1, disk.tip + 1):
            self._see(node, disk.blocks[height - 1], disk.certificates[height - 1])

    def _see(self, node: SimulatedNode, block: Block, certificate: Certificate) -> None:
        height = block.height
        if height <= self._heights.get(node.index, 0):
            return
        if height != self._heights.get(node.index, 0) + 1:
            raise InvariantBroken(
                f"node {node.index} shows height {height} after {self._heights.get(node.index, 0)}"
            )
        self._heights[node.index] = height
        self.decided_at[node.index, height] = asyncio.get_running_loop().time()
        if height <= len(self.blocks):
            known = self.blocks[height - 1]
            if known.hash != block.hash and self.expects_halts:
                return
            if known.hash != block.hash:
                raise InvariantBroken(
                    f"fork at height {height}: 0x{known.hash.hex()} and 0x{block.hash.hex()} at node {node.index}"
                )
        else:
            self._extend(block, certificate)
        self._check_certificate(certificate, block, self._states[height - 1])

    def state_before(self, height: Height) -> ConsensusState:
        """Return the state on which a decided height, or the one after the last, is built."""
        return self._states[height - 1]

    def check_all(self) -> None:
        """Look at every node."""
        for node in self.nodes:
            self._check_node(node)

    def _extend(self, block: Block, certificate: Certificate) -> None:
        parent_timestamp = (
            self.blocks[-1].header.timestamp if self.blocks else self._rules.parameters.genesis_time
        )
        if block.header.timestamp <= parent_timestamp:
            raise InvariantBroken(f"height {block.height}: time does not rise")
        self.blocks.append(block)
        self.rounds[block.height] = certificate.round
        self._states.append(next_state(self._states[-1], block, self._rules.parameters))

    def _check_certificate(self, certificate: Certificate, block: Block, before: ConsensusState) -> None:
        key = certificate.hash
        if key in self._certificates:
            return
        fault = self._verifier.find_fault(
            certificate.encode(),
            height=block.height,
            header=block.header.encode(),
            validators=[(v.address, v.power) for v in before.validators.validators],
        )
        if fault is not None:
            raise InvariantBroken(f"height {block.height}: the certificate proves nothing: {fault}")
        self._certificates.add(key)

    def _check_executed(self, node: SimulatedNode, block_hash: Hash32) -> None:
        """Check that a block that a node votes for was found valid by an honest execution client."""
        execution_hash = self._execution_of.get(block_hash)
        if execution_hash is None:
            body = node.disk.body(block_hash)
            assert body is not None, "a vote's block is durable"
            execution_hash = self._execution_of[block_hash] = Block.decode(body).header.execution_hash
        if execution_hash not in self._valid:
            raise InvariantBroken(f"node {node.index} votes for a block that nobody honest has executed")

    def _check_pace(self, sender: int) -> None:
        second = int(asyncio.get_running_loop().time())
        known, count = self._sent_now.get(sender, (second, 0))
        count = count + 1 if known == second else 1
        self._sent_now[sender] = (second, count)
        if count > SENT_A_SECOND_MAX and not self.nodes[sender].is_byzantine:
            raise InvariantBroken(f"node {sender} sends more than {SENT_A_SECOND_MAX} messages a second")

    def _check_evidence(self, node: SimulatedNode) -> None:
        """Nobody honest is ever accused: a proof has at least one corrupt holder of the key that made it."""
        seen = self._evidence_seen.get(node.index, 0)
        found = node.disk.evidence
        if len(found) == seen:
            return
        self._evidence_seen[node.index] = len(found)
        for evidence in found[seen:] if self.checks_keys else ():
            holders = [other for other in self.nodes if other.key.address == evidence.author]
            if not any(other.is_byzantine for other in holders):
                raise InvariantBroken(
                    f"node {node.index} accuses 0x{evidence.author.hex()}, who is honest, of {evidence}"
                )

    def _check_node(self, node: SimulatedNode) -> None:
        if node.failure is not None:
            broken = find_broken(node.failure)
            if broken is not None:
                raise broken
            raise InvariantBroken(f"node {node.index} stopped: {node.failure!r}")
        if not node.is_running or node.is_byzantine:
            return
        driver = node.driver
        if driver.halted is not None and not (self.expects_halts or node.index in self.may_halt):
            raise InvariantBroken(f"node {node.index} halted: {driver.halted}")
        self._check_evidence(node)
        self._check_view(node)
        total = len(self._states[0].validators) + 8
        # Commits of past rounds are the largest part: 32 rounds of everybody, and early messages, 12 of everybody.
        if driver.kept > 64 * total:
            raise InvariantBroken(f"node {node.index} keeps {driver.kept} messages")
        # The deadline first: it is there nearly always, and is cheaper to ask for.
        if not driver.is_timer_armed and node.is_live and node.address is not None:
            raise InvariantBroken(f"node {node.index} is live without a deadline at {driver.snapshot}")

    def _check_view(self, node: SimulatedNode) -> None:
        """Check that height and round never fall within a life; over lives signatures tell."""
        driver, view = node.driver, node.driver.view
        known = self._views.get(node.index)
        if known is not None and known[0] is driver:
            if view == known[1]:
                return
            if view < known[1]:
                raise InvariantBroken(
                    f"node {node.index} goes from height and round {known[1]} back to {view}"
                )
        self._views[node.index] = driver, view
