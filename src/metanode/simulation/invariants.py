"""What must hold after every event, checked by code that shares nothing with the core but the rules of the chain.

Agreement; certificates that an independent count accepts; no conflicting signatures of an honest key over all its lives, neither two
contents in one place nor a commit followed by a round change that forgot it (consensus.md 2.5 b), and no proof that one did; rounds claimed as prepared never fall;
heights never fall; times rise; a deadline runs in every live node; memory stays within a bound, and so does what a node sends in a second.
"""

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Final

from metanode.chain.block import Block
from metanode.chain.certificate import Certificate
from metanode.chain.parameters import ChainRules
from metanode.chain.state import ConsensusState, next_state
from metanode.consensus.effects import Decided
from metanode.consensus.messages import Commit, Decision, Message, RoundChange, SignedMessage, Step, step_of
from metanode.crypto.secp256k1 import recover_address
from metanode.primitives.types import Address, Hash32, Height, Round
from metanode.simulation.node import SimulatedNode

SENT_A_SECOND_MAX: Final = 128
"""Own messages of one node: four to a round, a round a second, and up to 64 again when a life begins."""


class InvariantBroken(AssertionError):  # noqa: N818 - says what happened
    """The protocol, or this program, is wrong."""


@dataclass(slots=True)
class _Key:
    """What one honest key has let out in all its lives."""

    signed: dict[tuple[int, int, int], bytes] = field(default_factory=dict)
    commits: dict[Height, list[Round]] = field(default_factory=dict)
    round_changes: dict[Height, list[tuple[Round, Round]]] = field(default_factory=dict)
    """(wanted round, prepared round or -1)."""


class Checker:
    """Sees every event of a cluster, and keeps the trace. Owner: the cluster."""

    def __init__(self, rules: ChainRules, genesis_state: ConsensusState) -> None:
        self._rules = rules
        self._hash = hashlib.sha256()
        self.events = 0
        """In the trace so far."""
        self._keys: dict[Address, _Key] = {}
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

    @property
    def trace_hash(self) -> str:
        """Hash over all events so far."""
        return "0x" + self._hash.hexdigest()

    def note(self, *facts: object) -> None:
        """Add an event to the trace."""
        self.events += 1
        now_us = round(asyncio.get_running_loop().time() * 1e6)
        self._hash.update(repr((now_us, *facts)).encode())

    def upon_sent(self, sender: int, message: Message) -> None:
        """Look at a message of a node's own, as it leaves."""
        kind = type(message).__name__
        self.sent[kind] = self.sent.get(kind, 0) + 1
        self.sent_by[sender] = self.sent_by.get(sender, 0) + 1
        self._check_pace(sender)
        if isinstance(message, Decision):
            return
        if self.nodes[sender].is_halted:
            raise InvariantBroken(f"node {sender} has halted and sends {kind}")
        if self.nodes[sender].is_byzantine or not self.checks_keys:
            return
        self._check_signed(message)

    def upon_delivered(self, receiver: int) -> None:
        """Look at a node that has taken a message."""
        self._check_node(self.nodes[receiver])

    def upon_decided(self, node: SimulatedNode, decided: Decided) -> None:
        """Look at a block that has become visible."""
        self.note("decided", node.index, decided.block.height, decided.block.hash, decided.certificate.round)
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
        self._check_certificate(certificate, block.hash, self._states[height - 1])

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

    def _check_certificate(
        self, certificate: Certificate, block_hash: Hash32, before: ConsensusState
    ) -> None:
        """Count the seals again, in the plainest way."""
        validators = before.validators.validators
        digest = self._rules.domain.commit(
            height=certificate.height, round=certificate.round, block_hash=block_hash
        )
        bits = int.from_bytes(certificate.signers, "little")
        expected = [v for i, v in enumerate(validators) if bits >> i & 1]
        # Recovering is most of a simulation's time; each distinct certificate is recovered once.
        key = certificate.hash
        if key not in self._certificates:
            found = [recover_address(digest, seal) for seal in certificate.seals]
            if found != [v.address for v in expected]:
                raise InvariantBroken(f"height {certificate.height}: a seal is not its signer's")
            self._certificates.add(key)
        weight, total = sum(v.power for v in expected), sum(v.power for v in validators)
        strict = self._rules.quorum_rule.value == "stake"
        if not (3 * weight > 2 * total if strict else 3 * weight >= 2 * total):
            raise InvariantBroken(
                f"height {certificate.height}: decided with a weight of {weight} of {total}"
            )

    def _check_pace(self, sender: int) -> None:
        second = int(asyncio.get_running_loop().time())
        known, count = self._sent_now.get(sender, (second, 0))
        count = count + 1 if known == second else 1
        self._sent_now[sender] = (second, count)
        if count > SENT_A_SECOND_MAX and not self.nodes[sender].is_byzantine:
            raise InvariantBroken(f"node {sender} sends more than {SENT_A_SECOND_MAX} messages a second")

    def _check_signed(self, message: SignedMessage) -> None:
        key = self._keys.setdefault(message.author, _Key())
        step = step_of(message)
        # A proposal is its author's prepare: an honest proposer signs no other one.
        place = (message.height, message.round, int(Step.PREPARE if step is Step.PROPOSAL else step))
        known = key.signed.setdefault(place, message.signature)
        if known != message.signature:
            raise InvariantBroken(f"0x{message.author.hex()} signed two messages at {place}")
        height = message.height
        if isinstance(message, Commit):
            key.commits.setdefault(height, []).append(message.round)
        elif isinstance(message, RoundChange):
            prepared = message.prepared.round if message.prepared else Round(-1)
            others = key.round_changes.setdefault(height, [])
            if any(
                (wanted < message.round and claimed > prepared)
                or (wanted > message.round and claimed < prepared)
                for wanted, claimed in others
            ):
                raise InvariantBroken(f"0x{message.author.hex()} forgot a prepared round at height {height}")
            others.append((message.round, prepared))
        for committed in key.commits.get(height, ()):
            for wanted, claimed in key.round_changes.get(height, ()):
                if claimed < committed < wanted:
                    raise InvariantBroken(
                        f"0x{message.author.hex()} committed in round {committed} of height {height} and forgot it in round {wanted}"
                    )

    def _check_evidence(self, node: SimulatedNode) -> None:
        """Nobody honest is ever accused: a proof has at least one corrupt holder of the key that made it."""
        seen = self._evidence_seen.get(node.index, 0)
        found = node.disk.evidence
        self._evidence_seen[node.index] = len(found)
        for evidence in found[seen:] if self.checks_keys else ():
            holders = [other for other in self.nodes if other.key.address == evidence.author]
            if not any(other.is_byzantine for other in holders):
                raise InvariantBroken(
                    f"node {node.index} accuses 0x{evidence.author.hex()}, who is honest, of {evidence}"
                )

    def _check_node(self, node: SimulatedNode) -> None:
        if node.failure is not None:
            raise InvariantBroken(f"node {node.index} stopped: {node.failure!r}")
        if not node.is_running or node.is_byzantine:
            return
        may_halt = self.expects_halts or node.index in self.may_halt
        if node.driver.halted is not None and not may_halt:
            raise InvariantBroken(f"node {node.index} halted: {node.driver.halted}")
        self._check_evidence(node)
        total = len(self._states[0].validators) + 8
        # Commits of past rounds are the largest part: 32 rounds of everybody, and early messages, 12 of everybody.
        if node.driver.kept > 64 * total:
            raise InvariantBroken(f"node {node.index} keeps {node.driver.kept} messages")
        if node.is_live and node.address is not None and not node.driver.is_timer_armed:
            raise InvariantBroken(f"node {node.index} is live without a deadline at {node.driver.snapshot}")
