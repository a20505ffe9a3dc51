"""The facts put together: which nodes are of one chain, who hears whom, who is missing and why. Pure."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Final

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput
from sdk.testnet.diagnosis.facts import Trouble
from sdk.testnet.diagnosis.findings import lasting
from sdk.testnet.diagnosis.remedies import remedy

if TYPE_CHECKING:
    from sdk.testnet.diagnosis.facts import ConsensusView, NetworkFacts, NodeFacts, ValidatorView

STALLED_AFTER_S: Final = 4.0
"""And two periods without a block: one missed turn costs a second, two in a row three."""
SILENT_AFTER_S: Final = 10.0
"""And a period: in round 0 something new of everybody comes that often."""
ROUND_S_MAX: Final = 32.0
"""The longest round. Repeated messages are not counted as heard, and in a later round there may be no other ones."""
STARTING_S: Final = 20.0
"""A validator that has just started listens for peers (5 s), and a key that has no past on a chain that has one for two heights more."""
RISING_S: Final = 60.0
"""A process that is younger may not listen yet: it loads, and reads its disk. As long as `metanode up` waits; a busy machine takes half of it."""
RESTARTS_MAX: Final = 2
"""A node that its supervisor has started more often is not starting: it can't stay up."""
GONE: Final = (Trouble.NOT_RUNNING, Trouble.SUSPENDED)
"""What is certain without asking the others."""


class Scene:
    """What is read from the facts again and again."""

    def __init__(self, facts: NetworkFacts) -> None:
        self.facts = facts
        self.answering = [node for node in facts.nodes if node.consensus is not None]

    @cached_property
    def genesis_hash(self) -> str | None:
        """The chain of most validators among the nodes that answer, then of most nodes."""
        votes: Counter[str] = Counter()
        for node in self.answering:
            view = view_of(node)
            is_member = any(validator.is_own for validator in view.validators)
            votes[view.genesis_hash] += 1000 if is_member else 1
        return max(votes, key=lambda genesis: (votes[genesis], genesis)) if votes else None

    @cached_property
    def chain(self) -> list[NodeFacts]:
        """The nodes of that chain."""
        return [node for node in self.answering if view_of(node).genesis_hash == self.genesis_hash]

    @cached_property
    def strayed(self) -> list[NodeFacts]:
        """The nodes of other chains."""
        return [node for node in self.answering if view_of(node).genesis_hash != self.genesis_hash]

    @cached_property
    def viewers(self) -> list[NodeFacts]:
        """Nodes of the chain that still listen, the best informed first."""

        def rank(node: NodeFacts) -> tuple[bool, int, int, float]:
            view = view_of(node)
            connected = sum(validator.is_connected for validator in view.validators)
            return view.mode == "live", view.height, connected, -view.since_decision_s

        return sorted((node for node in self.chain if view_of(node).halted is None), key=rank, reverse=True)

    @cached_property
    def reference(self) -> ConsensusView | None:
        """The view that the height is told from."""
        return view_of(self.viewers[0]) if self.viewers else None

    @cached_property
    def members(self) -> tuple[ValidatorView, ...]:
        """Who decides the open height."""
        view = self.reference or (view_of(self.chain[0]) if self.chain else None)
        return view.validators if view is not None else ()

    @cached_property
    def holders(self) -> dict[str, NodeFacts]:
        """By validator the node that holds its key: what it says comes before what is on the disk."""
        found = {node.key: node for node in self.facts.nodes if node.key is not None}
        for node in self.answering:
            own = view_of(node).validator
            if own is not None:
                if node.key is not None and node.key != own:
                    found.pop(node.key, None)
                found[own] = node
        return found

    @cached_property
    def starting(self) -> list[NodeFacts]:
        """Nodes that do not sign, or follow, yet because they have just been started: nobody has to do anything."""
        return [
            node
            for node in self.chain
            if (view := view_of(node)).up_s < STARTING_S
            and view.halted is None
            and view.silence not in {"key in use elsewhere", "watermark lost"}
            and (view.mode != "live" or view.silence == "observing")
            and (node.process is None or node.process.restarts <= RESTARTS_MAX)
        ]

    @cached_property
    def rising(self) -> list[NodeFacts]:
        """Local nodes whose process is so young that nobody can expect an answer yet, and whose last life did not end with an error."""
        return [
            node
            for node in self.facts.nodes
            if node.trouble is Trouble.UNREACHABLE
            and (process := node.process) is not None
            and process.up_s is not None
            and process.up_s < RISING_S
            and process.restarts <= RESTARTS_MAX
            and process.last_words is None
        ]

    @cached_property
    def failing(self) -> list[NodeFacts]:
        """Local nodes that do not stay up: they were started again, do not answer, and their logs end with an error."""
        return [
            node
            for node in self.facts.nodes
            if node.trouble is Trouble.UNREACHABLE
            and (process := node.process) is not None
            and process.restarts
            and process.last_words is not None
        ]

    def remedy(self, node: NodeFacts) -> str | None:
        """What restores a local node that has ended, where its log says it."""
        local, process = self.facts.local, node.process
        if local is None or process is None or process.last_words is None or node.home is None:
            return None
        return remedy(process.last_words, home=node.home, network=local.path)

    @cached_property
    def forgetful(self) -> list[NodeFacts]:
        """Nodes of validators that would sign, and do not know what they have signed: their disks, or their signer.log, are new."""
        return [
            node
            for node in self.viewers
            if view_of(node).silence in {"watermark lost", "observing"} and node not in self.starting
        ]

    @property
    def silent_after_s(self) -> float:
        """How long a validator says nothing before it is called silent."""
        return SILENT_AFTER_S + (self.reference.period_s if self.reference is not None else 0)

    def name(self, address: str) -> str:
        """How a validator is called: as its node where that is known."""
        node = self.holders.get(address)
        return node.name if node is not None else shown(address)

    def heard_s(self, viewer: NodeFacts, address: str) -> float | None:
        """How long ago a viewer heard a validator, or began to listen; None when it is young and has heard nothing."""
        view = view_of(viewer)
        for validator in view.validators:
            if validator.address == address:
                if validator.is_own:
                    return 0.0
                if validator.last_message is not None:
                    return validator.last_message.seconds_ago
                return view.up_s if view.up_s > self.silent_after_s else None
        return None

    def hears(self, viewer: NodeFacts, address: str) -> bool:
        """Whether a viewer has heard a validator lately, or can't know yet."""
        heard = self.heard_s(viewer, address)
        if heard is None or heard <= self.silent_after_s:
            return True
        # In a stall the rounds get long: whoever has come along to this round, or the one before as it has just ended, is there; in one that waits for
        # a quorum, and has not just begun, whoever has come to it.
        view = view_of(viewer)
        reached = max(
            (
                max(validator.signed.values(), default=-1)
                for validator in view.validators
                if validator.address == address
            ),
            default=-1,
        )
        needed = view.round if view.round_ms is None else view.round - 1
        return view.round > 0 and reached >= needed and heard <= ROUND_S_MAX + self.silent_after_s

    def is_out(self, address: str) -> bool:
        """Whether it is certain that a validator takes no part, whatever others have heard a moment ago."""
        node = self.holders.get(address)
        if node is None:
            return False
        if node.trouble in GONE or node in self.strayed:
            return True
        return node.consensus is not None and not node.consensus.signs

    def together(self, viewer: NodeFacts) -> list[ValidatorView]:
        """The validators on which a viewer can count, with itself."""
        return [
            member
            for member in self.members
            if not self.is_out(member.address) and self.hears(viewer, member.address)
        ]

    @cached_property
    def counted(self) -> list[ValidatorView]:
        """The validators of the heaviest group that hears itself: who decides a height, if anybody can."""
        groups = [self.together(viewer) for viewer in self.viewers if view_of(viewer).mode == "live"]
        return max(groups, key=lambda group: sum(member.power for member in group), default=[])

    @cached_property
    def is_quorum_here(self) -> bool:
        """Whether those who hear each other now are enough."""
        weight = sum(member.power for member in self.counted)
        return self.reference is not None and weight >= self.reference.quorum_weight

    @cached_property
    def coming_weight(self) -> int:
        """The weight of members that are about to take part, and are not counted yet."""
        here = {member.address for member in self.counted}
        coming = {
            *(view_of(node).validator for node in self.starting),
            *(node.key for node in self.rising),
        } - here
        return sum(member.power for member in self.members if member.address in coming)

    def why_missing(self, address: str) -> str:
        """Why nobody can count on a validator, in a few words."""
        node = self.holders.get(address)
        heard = [
            seconds
            for viewer in self.viewers
            if view_of(viewer).validator != address and (seconds := self.heard_s(viewer, address)) is not None
        ]
        silent = f"nothing signed by it was heard for {lasting(min(heard))}" if heard else "not heard yet"
        if node is None:
            return silent
        if node in self.failing:
            return "it ends soon after each start"
        match node.trouble:
            case Trouble.NOT_RUNNING:
                return "its process does not run"
            case Trouble.SUSPENDED:
                return f"its process {node.process.pid if node.process else ''} is suspended"
            case None:
                pass
            case _:
                return f"{node.trouble.value}, and {silent}"
        view = view_of(node)
        if node in self.strayed:
            return "its node runs another chain"
        if view.halted is not None:
            return "it has halted"
        if view.mode != "live":
            return f"it is {view.mode} at {view.head} of {self.head}"
        return view.silence or f"it answers here, but {silent}"

    @cached_property
    def head(self) -> int:
        """The highest block that a node of the chain shows."""
        return max((view_of(node).head for node in self.chain), default=0)

    @cached_property
    def components(self) -> list[list[NodeFacts]]:
        """The answering validators, grouped by who hears whom in both directions."""
        nodes = {
            view.validator: node
            for node in self.viewers
            if (view := view_of(node)).signs and view.validator is not None
        }
        left, found = dict(nodes), []
        while left:
            address, node = left.popitem()
            group, border = [node], [(address, node)]
            while border:
                own, viewer = border.pop()
                for other in [
                    other for other in left if self.hears(viewer, other) and self.hears(left[other], own)
                ]:
                    border.append((other, left[other]))
                    group.append(left.pop(other))
            found.append(sorted(group, key=lambda one: one.name))
        return sorted(found, key=lambda group: (-len(group), group[0].name))


def shown(address: str) -> str:
    """An address with its checksum."""
    try:
        return format_address(parse_address(address))
    except InvalidInput:
        return address


def is_stalled(view: ConsensusView) -> bool:
    """Whether its last block came so long ago that something keeps the next one."""
    return view.since_decision_s > STALLED_AFTER_S + 2 * view.period_s


def view_of(node: NodeFacts) -> ConsensusView:
    """What a node that answers says of its consensus."""
    assert node.consensus is not None, node.name
    return node.consensus
