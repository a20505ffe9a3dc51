"""What happens to simulated networks, and what must come of it. The numbers are those of consensus.md 5.3.

A scenario draws its cluster from a seed, then plays. Whatever it does, the checker looks after every event; what a scenario asserts is
the rest: how soon, in which round, with how many messages.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from metanode.consensus.messages import Commit, Message, Prepare, Proposal, RoundChange
from metanode.consensus.record import ConsensusRecord
from metanode.primitives.types import Height, Round
from metanode.simulation.adversary import equivocate, forget_prepared
from metanode.simulation.cluster import GENESIS_TIME, Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.network import LinkFaults

SETTLE_S: Final = 40
"""A network that has healed decides again within the longest deadline and a few rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One story."""

    claim: str
    """What must come of it, as a sentence."""
    draw: Callable[[int, int | None], Cluster]
    """(seed, validators or None for the scenario's own number) -> cluster."""
    play: Callable[[Cluster], Awaitable[None]]


def require(holds: bool, sentence: str) -> None:  # noqa: FBT001 - an assertion
    """Raise InvariantBroken with the sentence unless it holds."""
    if not holds:
        raise InvariantBroken(sentence)


def _drawing(
    validators: int, *, does_relay: bool = False, faults: LinkFaults | None = None, candidates: int = 0
) -> Callable[[int, int | None], Cluster]:
    def draw(seed: int, wanted: int | None) -> Cluster:
        delay_ms_max = Random(seed).choice([5, 20, 50, 100])
        links = faults or LinkFaults(delay_ms_max=delay_ms_max)
        return Cluster(
            seed=seed,
            validators=wanted or validators,
            candidates=candidates,
            faults=links,
            does_relay=does_relay,
        )

    return draw


def _from(*indices: int) -> Callable[[int, int, Message], bool]:
    """Return a filter that lets nothing of these nodes pass."""
    return lambda sender, _receiver, _message: sender not in indices


# --- 1, 33, 39 -----------------------------------------------------------------------------------------------------------------------------


async def _no_faults(cluster: Cluster) -> None:
    heights = 12
    async with cluster.running():
        await cluster.wait_height(heights)
        require(not any(cluster.checker.rounds.values()), "a height without faults took more than round 0")
        for block in cluster.checker.blocks[:heights]:
            due = GENESIS_TIME + cluster.period_s * block.height
            require(block.header.timestamp == due, f"height {block.height} does not carry its slot's time")
        for height in range(1, heights + 1):
            late_s = cluster.decided_at(height) - cluster.period_s * height
            require(0 <= late_s < 1, f"height {height} is {late_s:.3f} s from its slot")


def _draw_powers(seed: int, wanted: int | None) -> Cluster:
    random = Random(seed)
    some = [random.randint(1, 100) for _ in range(wanted or random.choice([3, 4, 5, 7]))]
    powers = random.choice([[34, 33, 33], [1, 1, 1, 97], [34, 33, 30, 3], [25, 25, 25, 25], some, some, some])
    return Cluster(seed=seed, validators=len(powers), powers=powers)


async def _weights_some_silent(cluster: Cluster) -> None:
    """As many as possible are silent, in a drawn order, while the others have more than two thirds."""
    members, rule = cluster.rules.parameters.validators, cluster.rules.quorum_rule
    silent: list[int] = []
    for index in cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes)):
        rest = [n.key.address for n in cluster.nodes if n.index not in {*silent, index}]
        if members.is_quorum(rest, rule):
            silent.append(index)
    cluster.network.filters.append(_from(*silent))
    loud = [i for i in range(len(cluster.nodes)) if i not in silent]
    async with cluster.running():
        await cluster.wait_height(6, nodes=loud, within_s=300)
        one_more = cluster.random.choice(loud)
        cluster.network.filters.append(_from(one_more))
        await cluster.wait_s(10)
        height = cluster.height
        await cluster.wait_s(60)
        alone = members.is_quorum([cluster.nodes[one_more].key.address], rule)
        require(alone or cluster.height == height, "blocks were decided with two thirds or less")


async def _cold_start(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_s(6)
        require(all(node.is_live for node in cluster.nodes), "not everybody is live 6 s after a cold start")


# --- 2, 3: silent proposers ----------------------------------------------------------------------------------------------------------------


async def _silent_proposer(cluster: Cluster) -> None:
    victim = cluster.random.randrange(len(cluster.nodes))
    cluster.network.filters.append(_from(victim))
    heights = 24
    async with cluster.running():
        await cluster.wait_height(heights)
        changes = sum(1 for round_ in cluster.checker.rounds.values() if round_)
        require(max(cluster.checker.rounds.values()) <= 1, "one silent proposer cost more than one round")
        require(changes >= 1, "the silent proposer never had its turn")
        sent = cluster.checker.sent.get("RoundChange", 0)
        require(
            sent <= (changes + 1) * len(cluster.nodes), f"{sent} round changes were sent for {changes} rounds"
        )
        skipped = [r for height, r in cluster.checker.rounds.items() if height > 3 * len(cluster.nodes)]
        require(not any(skipped), "a validator that has long been silent still gets turns")
        mean_s = (cluster.decided_at(heights) - cluster.decided_at(1)) / (heights - 1)
        require(abs(mean_s - cluster.period_s) < 0.08, f"the mean interval is {mean_s:.3f} s")


async def _faulty_silent(cluster: Cluster) -> None:
    order = [cluster.proposer(1, round_) for round_ in range(cluster.max_faulty)]
    async with cluster.running(start=[i for i in range(len(cluster.nodes)) if i not in order]):
        await cluster.wait_height(1, within_s=60)
        require(
            cluster.checker.rounds[Height(1)] == cluster.max_faulty, "height 1 was not decided in round F"
        )
        await cluster.wait_height(6, within_s=120)


# --- 4, 5, 6: too many silent, and back ----------------------------------------------------------------------------------------------------


async def _too_many_silent(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        gone = cluster.random.sample(range(len(cluster.nodes)), cluster.max_faulty + 1)
        for index in gone:
            cluster.crash(index)
        await cluster.wait_s(2)
        height, sent, began_s = cluster.height, dict(cluster.checker.sent), cluster.now_s
        await cluster.wait_s(cluster.random.choice([60, 600, 3600]))
        require(cluster.height == height, "blocks were decided without a quorum")
        # Own messages go out again every 4 s; new rounds come every 32 s once the deadlines are at their cap.
        passed_s = cluster.now_s - began_s
        more = sum(cluster.checker.sent.values()) - sum(sent.values())
        require(
            more <= 4 * len(cluster.nodes) * (passed_s / 4 + 10),
            f"{more} messages in {passed_s:.0f} s of waiting",
        )
        for index in gone:
            cluster.start(index)
        await cluster.wait_height(height + 3, within_s=SETTLE_S)


async def _restart_of_all(cluster: Cluster) -> None:
    async with cluster.running():
        for _ in range(cluster.random.randint(1, 6)):
            await cluster.wait_s(cluster.random.randint(1, 8000) / 1000)
            for index in range(len(cluster.nodes)):
                cluster.crash(index)
            await cluster.wait_s(cluster.random.randint(1, 3000) / 1000)
            for index in range(len(cluster.nodes)):
                cluster.start(index)
        await cluster.wait_s(0.5)
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)


# --- 7, 8, 9, 10: partitions and stragglers ------------------------------------------------------------------------------------------------


async def _partition_in_halves(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        half = len(cluster.nodes) // 2
        mixed = cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes))
        cluster.network.partition(mixed[:half], mixed[half:])
        await cluster.wait_s(1)
        height = cluster.height
        await cluster.wait_s(60)
        require(cluster.height <= height + 1, "half of the network went on alone")
        cluster.network.heal()
        await cluster.wait_height(cluster.height + 2, within_s=SETTLE_S)


async def _one_cut_off(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        alone = cluster.random.randrange(len(cluster.nodes))
        others = [i for i in range(len(cluster.nodes)) if i != alone]
        cluster.network.partition(others, [alone])
        await cluster.wait_height(cluster.height + 10, nodes=others, within_s=60)
        cluster.network.heal()
        began_s, height = cluster.now_s, cluster.height
        await cluster.wait_height(height, nodes=[alone], within_s=5)
        require(cluster.now_s - began_s <= 5, "the node that was cut off took over 5 s to catch up")
        await cluster.wait_height(height + 3)


async def _only_a_later_proposal(cluster: Cluster) -> None:
    victim = next(
        i for i in range(len(cluster.nodes)) if i not in {cluster.proposer(1, 0), cluster.proposer(1, 1)}
    )
    silent = cluster.proposer(1, 0)
    votes: list[Message] = []

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if sender == victim and isinstance(message, Prepare | Commit):
            votes.append(message)
        if message.height > 1:
            return True
        if isinstance(message, Proposal) and sender == silent:
            return False
        return receiver != victim or (isinstance(message, Proposal) and message.round == 1)

    cluster.network.filters.append(lets_pass)
    # Its own deadline must not move it: it begins its round a little later than the others.
    cluster.nodes[victim].clock.offset_ms = -900
    async with cluster.running():
        await cluster.wait_height(1, within_s=30)
        await cluster.wait_height(4, within_s=60)
    first = [vote for vote in votes if vote.height == 1]
    require(bool(first), "the node that jumped did not vote")
    require(all(vote.round == 1 for vote in first), "a node that jumped voted in its old round")


async def _different_rounds(cluster: Cluster) -> None:
    for node, round_ in zip(cluster.nodes, (0, 3, 7, 200), strict=True):
        record = ConsensusRecord(height=Height(1), round=Round(round_), prepared=None, messages=())
        node.disk.record = record.encode() if round_ else None
    async with cluster.running():
        await cluster.wait_height(2, within_s=2 * 32 + 10)


# --- lost messages, 15, 16, 17, 32 ---------------------------------------------------------------------------------------------------------


def _losing(kind: type[Message]) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        victim = cluster.random.randrange(len(cluster.nodes))
        height = cluster.random.randint(1, 4)
        lost: list[Message] = []

        def lets_pass(sender: int, receiver: int, message: Message) -> bool:
            del sender
            if (
                receiver == victim
                and isinstance(message, kind)
                and message.height == height
                and len(lost) < 2
            ):
                lost.append(message)
                return False
            return True

        cluster.network.filters.append(lets_pass)
        if kind is RoundChange:
            cluster.network.filters.append(
                lambda _sender, _receiver, message: (
                    not (isinstance(message, Proposal) and message.height == height and message.round == 0)
                )
            )
        async with cluster.running():
            await cluster.wait_height(height + 3, within_s=90)

    return play


async def _decided_by_one(cluster: Cluster) -> None:
    chosen = cluster.random.randrange(len(cluster.nodes))
    is_open = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        del sender
        if is_open or message.height != 2:
            return True
        if type(message).__name__ == "Decision":
            return False
        return not isinstance(message, Commit) or receiver == chosen or message.round > 0

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(2, nodes=[chosen])
        cluster.network.partition([i for i in range(len(cluster.nodes)) if i != chosen], [chosen])
        await cluster.wait_s(20)
        is_open = True
        cluster.network.heal()
        await cluster.wait_height(5, within_s=SETTLE_S)


async def _prepared_by_one(cluster: Cluster) -> None:
    """One node alone prepares X, and its round change is lost: the others may decide Y, and it accepts that."""
    chosen = cluster.proposer(1, len(cluster.nodes) - 1)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1:
            return True
        if isinstance(message, Prepare) and message.round == 0:
            return receiver == chosen
        return not (sender == chosen and (isinstance(message, RoundChange) or message.round == 0))

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(3, within_s=60)
        require(
            cluster.checker.blocks[0].header.proposal_round > 0,
            "the block that only one had prepared was decided",
        )


async def _prepared_by_all(cluster: Cluster) -> None:
    """Everybody prepares X, no commit arrives: the next proposer proposes the identical block."""

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        del sender, receiver
        return message.height != 1 or not isinstance(message, Commit) or message.round > 0

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(3, within_s=60)
        first = cluster.checker.blocks[0].header
        require(first.proposal_round == 0, "a block that a quorum had prepared was not proposed again")
        require(first.timestamp == GENESIS_TIME + cluster.period_s, "the block changed its time")
        require(cluster.checker.rounds[Height(1)] > 0, "the height was decided in round 0")


async def _commits_after_two_rounds(cluster: Cluster) -> None:
    """The commits of round 0 arrive when everybody is in a later round: they still decide, the same block."""
    held: list[tuple[int, int, Message]] = []
    is_open = False

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if is_open or message.height != 1:
            return True
        if isinstance(message, Commit) and message.round == 0:
            held.append((sender, receiver, message))
            return False
        return not (isinstance(message, Proposal) and message.round > 0)

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        while not all(node.is_running and node.driver.snapshot.round >= 2 for node in cluster.nodes):
            await cluster.wait_s(0.5)
        is_open = True
        for sender, receiver, message in held:
            cluster.network.deliver_again(sender, receiver, message)
        await cluster.wait_height(1, within_s=2)
        require(cluster.checker.rounds[Height(1)] == 0, "the old commits did not decide")
        await cluster.wait_height(3, within_s=SETTLE_S)


# --- 13, 14: liars -------------------------------------------------------------------------------------------------------------------------


def _equivocating(*, votes_twice: bool) -> Callable[[Cluster], Awaitable[None]]:
    async def play(cluster: Cluster) -> None:
        liars = [cluster.proposer(1, round_) for round_ in range(max(cluster.max_faulty, 1))]
        for liar in liars:
            equivocate(cluster, liar, votes_twice=votes_twice)
        honest = [i for i in range(len(cluster.nodes)) if i not in liars]
        async with cluster.running():
            await cluster.wait_height(6, nodes=honest, within_s=150)
            for index in honest:
                found = {evidence.author for evidence in cluster.nodes[index].disk.evidence}
                require(cluster.nodes[liars[0]].key.address in found, f"node {index} has no proof of the lie")
                guilty = {cluster.nodes[liar].key.address for liar in liars}
                require(found <= guilty, f"node {index} accuses an honest validator")

    return play


async def play_forgotten_block(cluster: Cluster) -> None:
    """A alone decides X and is cut off; B, which had prepared X, restarts; D lies that it prepared nothing (consensus.md 1.11)."""
    a, b, c, d = (cluster.proposer(1, round_) for round_ in range(4))
    forget_prepared(cluster, d)

    def lets_pass(sender: int, receiver: int, message: Message) -> bool:
        if message.height != 1 or message.round > 0:
            return True
        if isinstance(message, Prepare):
            return receiver != c
        return (
            sender == receiver
            or isinstance(message, Proposal)
            or (isinstance(message, Commit) and receiver == a)
        )

    cluster.network.filters.append(lets_pass)
    async with cluster.running():
        await cluster.wait_height(1, nodes=[a])
        cluster.network.partition([b, c, d], [a])
        await cluster.restart(b, after_s=0.1)
        await cluster.wait_height(1, nodes=[b, c], within_s=60)
        cluster.network.heal()
        await cluster.wait_height(3, nodes=[a, b, c], within_s=SETTLE_S)


# --- 23, 24, 29, 30, 31: engines, crashes, clocks, links -----------------------------------------------------------------------------------


async def _engines_unavailable(cluster: Cluster) -> None:
    order = cluster.random.sample(range(len(cluster.nodes)), len(cluster.nodes))
    few, more = order[: cluster.max_faulty], order[: cluster.max_faulty + 1]
    async with cluster.running():
        await cluster.wait_height(2)
        for index in few:
            cluster.nodes[index].is_engine_available = False
        rest = [i for i in order if i not in few]
        await cluster.wait_height(cluster.height + 4, nodes=rest, within_s=90)
        for index in more:
            cluster.nodes[index].is_engine_available = False
        await cluster.wait_s(5)
        height = cluster.height
        await cluster.wait_s(40)
        require(cluster.height <= height + 1, "blocks were decided that F + 1 nodes could not check")
        for index in more:
            cluster.nodes[index].is_engine_available = True
        await cluster.wait_height(cluster.height + 3, within_s=2 * SETTLE_S)


async def _engines_hiccup(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(2)
        for _ in range(3):
            proposer = cluster.proposer(cluster.height + 1)
            height = cluster.height + 1
            for node in cluster.nodes:
                node.is_engine_available = node.index == proposer
            await cluster.wait_s(3)
            for node in cluster.nodes:
                node.is_engine_available = True
            await cluster.wait_height(height)
            require(
                cluster.checker.rounds[Height(height)] == 0, "engines that were away for 1 s cost a round"
            )
            await cluster.wait_height(height + 1)


async def _crash_at_boundaries(cluster: Cluster) -> None:
    """One node after another dies at a boundary of a write, and comes back at once."""
    async with cluster.running():
        await cluster.wait_s(1)
        for _ in range(12):
            index = cluster.random.randrange(len(cluster.nodes))
            node = cluster.nodes[index]
            left = cluster.random.randint(0, 24)

            def crash_now(_: str) -> bool:
                nonlocal left
                left -= 1
                return left < 0

            node.crash_at = crash_now
            for _ in range(400):
                if not node.is_up:
                    break
                await cluster.wait_s(0.05)
            node.crash_at = lambda _: False
            require(not node.is_up, "a crash did not come")
            cluster.start(index)
        await cluster.wait_height(cluster.height + 3, within_s=SETTLE_S)


def _losing_parts(part: str) -> Callable[[Cluster], Awaitable[None]]:
    """Return the play in which one node is killed and finds a part of its disk gone: the rows of the crash table."""

    async def play(cluster: Cluster) -> None:
        victim = cluster.random.randrange(len(cluster.nodes))
        node, disk = cluster.nodes[victim], cluster.nodes[victim].disk
        async with cluster.running():
            await cluster.wait_height(cluster.random.randint(3, 12))
            await cluster.wait_s(cluster.random.randint(0, 3000) / 1000)
            cluster.crash(victim)
            await cluster.wait_s(cluster.random.randint(1, 6000) / 1000)
            match part:
                case "execution client":
                    disk.payloads = disk.payloads[: cluster.random.randrange(len(disk.payloads))]
                case "database":
                    disk.forget_database(keep=cluster.random.randrange(disk.tip))
                case "database and execution client":
                    disk.forget_database(keep=0)
                    disk.payloads = []
                case "whole disk":
                    disk.forget_database(keep=0)
                    disk.payloads, disk.watermark = [], None
                case "watermark":
                    disk.watermark, disk.has_watermark_file = None, False
                case _:
                    raise AssertionError(part)
            cluster.start(victim)
            await cluster.wait_s(1)
            await cluster.wait_height(cluster.height + 1, nodes=[victim], within_s=SETTLE_S)
            await cluster.wait_height(cluster.height + 8, within_s=2 * SETTLE_S)
            state = cluster.checker.state_before(Height(cluster.height + 1))
            silent_for = cluster.height - state.standing(node.key.address).last_active
            require(
                silent_for <= len(cluster.nodes) + 1,
                f"the node has not signed again for {silent_for} heights",
            )

    return play


async def _skewed_clocks(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.clock.offset_ms = cluster.random.randint(-500, 500)
    cluster.nodes[0].clock.offset_ms = cluster.random.choice([0, 3000])
    async with cluster.running():
        await cluster.wait_height(16, within_s=70)


async def _bad_links(cluster: Cluster) -> None:
    async with cluster.running():
        await cluster.wait_height(15, within_s=600)


# --- 35: votes -----------------------------------------------------------------------------------------------------------------------------


async def _vote_in_and_out(cluster: Cluster) -> None:
    candidate = cluster.nodes[-1].key.address
    async with cluster.running():
        await cluster.wait_height(1)
        for node in cluster.nodes[:-1]:
            node.driver.set_wishes({candidate: True})
        await cluster.wait_height(8)
        state = cluster.checker.state_before(Height(cluster.height + 1))
        require(candidate in state.validators, "the vote did not let the candidate in")
        await cluster.wait_height(cluster.height + 6)
        proposers = {block.header.proposer for block in cluster.checker.blocks}
        require(candidate in proposers, "the new validator never proposed")
        for node in cluster.nodes[:-1]:
            node.driver.set_wishes({candidate: False})
        await cluster.wait_height(cluster.height + 8)
        state = cluster.checker.state_before(Height(cluster.height + 1))
        require(candidate not in state.validators, "the vote did not drop the validator")


SCENARIOS: Final[dict[str, Scenario]] = {
    "no-faults": Scenario(
        claim="without faults every height is decided in round 0, at its slot",
        draw=_drawing(4),
        play=_no_faults,
    ),
    "weights": Scenario(
        claim="with unequal powers any may be silent that leave more than two thirds, and no more",
        draw=_draw_powers,
        play=_weights_some_silent,
    ),
    "cold-start": Scenario(
        claim="with nobody ahead everybody is live in 6 s", draw=_drawing(4), play=_cold_start
    ),
    "silent-proposer": Scenario(
        claim="a silent proposer costs one round, then loses its turns; the mean interval stays the period",
        draw=_drawing(4),
        play=_silent_proposer,
    ),
    "faulty-silent": Scenario(
        claim="with F consecutive proposers silent the height is decided in round F",
        draw=_drawing(7),
        play=_faulty_silent,
    ),
    "too-many-silent": Scenario(
        claim="without a quorum nothing is decided, and blocks resume when it is back",
        draw=_drawing(4),
        play=_too_many_silent,
    ),
    "restart-of-all": Scenario(
        claim="a network restarted as a whole at any moment goes on",
        draw=_drawing(4),
        play=_restart_of_all,
    ),
    "partition-in-halves": Scenario(
        claim="halves decide nothing, and go on together", draw=_drawing(4), play=_partition_in_halves
    ),
    "one-cut-off": Scenario(
        claim="a node that was cut off catches up in 5 s", draw=_drawing(4), play=_one_cut_off
    ),
    "only-a-later-proposal": Scenario(
        claim="a justified proposal of a later round takes a node along, with its timer and its votes",
        draw=_drawing(4),
        play=_only_a_later_proposal,
    ),
    "different-rounds": Scenario(
        claim="nodes in rounds 0, 3, 7 and 200 meet by the F + 1 rule",
        draw=_drawing(4),
        play=_different_rounds,
    ),
    "lost-proposal": Scenario(claim="a lost proposal is made good", draw=_drawing(4), play=_losing(Proposal)),
    "lost-prepare": Scenario(claim="lost prepares are made good", draw=_drawing(4), play=_losing(Prepare)),
    "lost-commit": Scenario(claim="lost commits are made good", draw=_drawing(4), play=_losing(Commit)),
    "lost-round-change": Scenario(
        claim="lost round changes are made good", draw=_drawing(4), play=_losing(RoundChange)
    ),
    "decided-by-one": Scenario(
        claim="what one node alone has decided is decided by all", draw=_drawing(4), play=_decided_by_one
    ),
    "prepared-by-one": Scenario(
        claim="a block that one node alone has prepared may be replaced",
        draw=_drawing(4),
        play=_prepared_by_one,
    ),
    "prepared-by-all": Scenario(
        claim="a block that a quorum has prepared is proposed again, unchanged",
        draw=_drawing(4),
        play=_prepared_by_all,
    ),
    "commits-after-two-rounds": Scenario(
        claim="commits of an old round still decide", draw=_drawing(4), play=_commits_after_two_rounds
    ),
    "equivocating-proposer": Scenario(
        claim="of two proposals in one place at most one is decided, and everybody has the proof",
        draw=_drawing(4, does_relay=True),
        play=_equivocating(votes_twice=False),
    ),
    "equivocating-voters": Scenario(
        claim="F validators that propose and vote twice decide nothing twice",
        draw=_drawing(7, does_relay=True),
        play=_equivocating(votes_twice=True),
    ),
    "forgotten-block": Scenario(
        claim="a restart does not forget what was prepared, so a decision that nobody has seen stands",
        draw=_drawing(4),
        play=play_forgotten_block,
    ),
    "engines-unavailable": Scenario(
        claim="F engines that are away cost nothing, F + 1 stop the chain, and it resumes",
        draw=_drawing(4),
        play=_engines_unavailable,
    ),
    "engines-hiccup": Scenario(
        claim="engines that are away for a second cost no round", draw=_drawing(4), play=_engines_hiccup
    ),
    "crash-at-boundaries": Scenario(
        claim="a node that dies anywhere in a write contradicts nothing when it is back",
        draw=_drawing(4),
        play=_crash_at_boundaries,
    ),
    **{
        f"lost-{part.replace(' ', '-')}": Scenario(
            claim=f"a node that has lost its {part} comes back, contradicts nothing, and signs again",
            draw=_drawing(4),
            play=_losing_parts(part),
        )
        for part in (
            "execution client",
            "database",
            "database and execution client",
            "watermark",
            "whole disk",
        )
    },
    "skewed-clocks": Scenario(
        claim="clocks that are off cost at most their own turns", draw=_drawing(4), play=_skewed_clocks
    ),
    "repeating-links": Scenario(
        claim="doubled and reordered messages change nothing",
        draw=_drawing(4, faults=LinkFaults(delay_ms_max=400, duplicate_percent=80)),
        play=_bad_links,
    ),
    "losing-links": Scenario(
        claim="with 30 % of the messages lost blocks go on",
        draw=_drawing(4, faults=LinkFaults(delay_ms_max=50, loss_percent=30)),
        play=_bad_links,
    ),
    "vote-in-and-out": Scenario(
        claim="votes let a validator in and out, at one height for all",
        draw=_drawing(4, candidates=1),
        play=_vote_in_and_out,
    ),
}
