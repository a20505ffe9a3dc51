"""kill -9: of one right after it has signed each step, and at any moment; of F + 1, of all."""

from __future__ import annotations

import shutil
import signal
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.acceptance.processes import slowness, wait_until
from tests.integration.faults.catalogue.case import Case, Figures, Group, check_within, repeat
from tests.integration.faults.catalogue.partitions import heal_within_s, stay
from tests.integration.faults.cluster import FAULTY_MAX, PERIOD_S, VALIDATORS, Cluster, timed

from metanode.consensus.messages import Step
from metanode.storage.signer_log import SLOT_BYTES, _decode

if TYPE_CHECKING:
    import random

    from tests.integration.faults.cluster import Node

BACK_WITHIN_S = 20.0
RESUME_AFTER_START_S = 30.0
RESUME_AFTER_ANSWER_S = 5.0
STEP_WITHIN_S = 60.0
"""Each node proposes once in four blocks."""
LOOK_EVERY_S = 0.0001
KILLS_MAX = 8
ABSENT_S = 300
CONSENSUS_S = 0.06
"""All steps of a block are taken in so much time after its slot."""


def wait_moment(cluster: Cluster, chance: random.Random) -> None:
    """Let a random time pass: anywhere in a period, or three times in four in its first moments, when the steps of consensus are taken."""
    if chance.random() < 0.75:
        node = cluster.running()[0]
        slot = int(node.rpc.block(node.height() or 0)["timestamp"], 16) + PERIOD_S
        moment = slot + chance.uniform(0.0, CONSENSUS_S)
        time.sleep(max(0.0, moment - time.time()))
    else:
        time.sleep(chance.uniform(0.0, PERIOD_S))


def last_signed(node: Node) -> str:
    """The step after which a node was killed, as its signer.log has it."""
    data = (node.data / "signer.log").read_bytes()
    for end in range(len(data) // SLOT_BYTES, 1, -1):
        step = _decode(data[(end - 1) * SLOT_BYTES : end * SLOT_BYTES])
        if step is not None:
            return Step(step.step).name
    return "nothing"


def wait_signed(node: Node, step: Step) -> None:
    """Wait until a node's signer.log gets a signature of this step: it is there before it leaves, and the next one follows in milliseconds."""
    path = node.data / "signer.log"
    seen, ends = path.stat().st_size, time.monotonic() + STEP_WITHIN_S * slowness()
    while time.monotonic() < ends:
        size = path.stat().st_size
        if size != seen:
            seen = size
            if last_signed(node) == step.name:
                return
        time.sleep(LOOK_EVERY_S)
    raise AssertionError(f"{node.name} signed no {step.name}; the last was {last_signed(node)}")


def kill_after(cluster: Cluster, victim: Node, step: Step) -> None:
    """Kill a node when it has signed this step; a later round, which has a ROUND_CHANGE, takes a proposer that stands still."""
    stopped = None
    if step is Step.ROUND_CHANGE:
        stopped = cluster.nodes[(victim.index + 1) % VALIDATORS]
        stopped.signal(signal.SIGSTOP)
    try:
        wait_signed(victim, step)
        victim.signal(signal.SIGKILL)
    finally:
        if stopped is not None:
            stopped.signal(signal.SIGCONT)
    victim.wait_end(within_s=10.0)


def kill_one(cluster: Cluster, chance: random.Random) -> Figures:
    """Any one at any moment; the others go on, and it comes back."""
    victim = chance.choice(cluster.nodes)
    wait_moment(cluster, chance)
    victim.kill()
    killed_after = last_signed(victim)
    return {**_come_back(cluster, victim), "killed after": killed_after}


def kill_at_step(cluster: Cluster, _chance: random.Random, *, index: int, step: Step) -> Figures:
    """A certain one after a certain step. Where the next signature was faster than the kill, it is one kill more, and done again."""
    victim, kills, killed_after, worst = cluster.nodes[index], 0, "nothing", dict[str, float]()
    while killed_after != step.name:
        kills += 1
        assert kills <= KILLS_MAX, (
            f"{victim.name} could not be killed after {step.name}, only after {killed_after}"
        )
        kill_after(cluster, victim, step)
        killed_after = last_signed(victim)
        for what, seconds in _come_back(cluster, victim).items():
            worst[what] = max(seconds, worst.get(what, 0.0))
        cluster.wait_settled()
    return {**worst, "kills": float(kills), "killed after": killed_after}


def _come_back(cluster: Cluster, victim: Node) -> dict[str, float]:
    """The others go on without the victim, and it is at the head again when it was started."""
    others = [node for node in cluster.nodes if node is not victim]
    before = cluster.top(others)
    next_block_s = timed(lambda: cluster.wait_height(before + 2, nodes=others, within_s=30.0))
    victim.start()
    back_s = timed(
        lambda: wait_until(
            lambda: (victim.height() or 0) >= cluster.top(others),
            within_s=2 * BACK_WITHIN_S,
            what=lambda: f"{victim.name} is at the head again:\n{victim.log[-3000:]}",
        )
    )
    check_within("back at the head", back_s, BACK_WITHIN_S)
    return {"two blocks after the kill_s": next_block_s, "back at the head_s": back_s}


def kill_too_many(cluster: Cluster, chance: random.Random, *, absent_s: float = 0.0) -> Figures:
    """F + 1 at once: nothing is decided without them, and all goes on when they are back, however long that takes."""
    victims = chance.sample(cluster.nodes, FAULTY_MAX + 1)
    survivors = [node for node in cluster.nodes if node not in victims]
    wait_moment(cluster, chance)
    before = cluster.top()
    for node in victims:
        node.signal(9)
    for node in victims:
        node.wait_end(within_s=10.0)
    for node in survivors:
        wait_until(
            lambda node=node: int(node.consensus()["round"], 16) >= 1,
            within_s=30.0,
            what=f"{node.name} has gone through a round without a decision",
        )
    stay(absent_s)
    highest = cluster.top(survivors)
    # What three had sealed before the kill may still be decided.
    assert highest <= before + 1, f"two of four decided: {before} at the kill, now {highest}"
    started = time.monotonic()
    for node in victims:
        node.start()
    for node in victims:
        node.wait_answers()
    answered = time.monotonic()
    cluster.wait_height(highest + 1, within_s=2 * RESUME_AFTER_START_S)
    resumed = time.monotonic()
    check_within("a block after the quorum answers", resumed - answered, RESUME_AFTER_ANSWER_S)
    check_within("a block after the quorum is started", resumed - started, RESUME_AFTER_START_S)
    return {
        "block after they answer_s": resumed - answered,
        "block after they are started_s": resumed - started,
    }


def kill_all(cluster: Cluster, chance: random.Random) -> Figures:
    """All at the same moment: nothing final is lost, which the audit sees."""
    wait_moment(cluster, chance)
    tops = [node.height() or 0 for node in cluster.nodes]
    for node in cluster.nodes:
        node.signal(9)
    for node in cluster.nodes:
        node.wait_end(within_s=10.0)
    steps = ", ".join(sorted({last_signed(node) for node in cluster.nodes}))
    started = time.monotonic()
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        node.wait_answers()
    assert [node.height() or 0 for node in cluster.nodes] >= tops, "a node has lost what it had shown"
    cluster.wait_height(max(tops) + 1, within_s=2 * RESUME_AFTER_START_S)
    resumed_s = time.monotonic() - started
    check_within("a block after the start", resumed_s, RESUME_AFTER_START_S)
    return {"block after they are started_s": resumed_s, "killed after": steps}


def lose_disks(cluster: Cluster, chance: random.Random) -> Figures:
    """All data of F + 1 within a second, between two blocks; the chain stands until F of them are started on an operator's word (docs/guide/lost-disks.md)."""
    victims = chance.sample(cluster.nodes, FAULTY_MAX + 1)
    survivors = [node for node in cluster.nodes if node not in victims]
    # Right after a block nobody has signed anything at the next height, so that nothing can be contradicted.
    cluster.wait_height(cluster.top() + 1, within_s=30.0)
    for node in victims:
        node.signal(9)
    for node in victims:
        node.wait_end(within_s=10.0)
        shutil.rmtree(node.data)
    before = cluster.top(survivors)
    for node in victims:
        node.start()
    for node in victims:
        wait_until(
            lambda node=node: (
                node.height() is not None
                and node.consensus()["silence"] == "observing"
                and node.height() == cluster.top(survivors)
            ),
            within_s=60.0,
            what=f"{node.name} follows and observes",
        )
    for node in survivors:
        wait_until(
            lambda node=node: (
                node.consensus()["round"] == "0x1" and node.consensus()["secondsSinceDecision"] > 12
            ),
            within_s=60.0,
            what=f"{node.name} waits for others in round 1, for longer than its deadlines are",
        )
    assert cluster.top() <= before + 1, (
        f"half of the validators decided: {before} at the loss, now {cluster.top()}"
    )
    speaker, limit_s = victims[0], heal_within_s(survivors)
    speaker.kill()
    begun = time.monotonic()
    speaker.start("--sign-without-watermark")
    speaker.wait_answers()
    cluster.wait_height(cluster.top() + 1, within_s=2 * limit_s)
    resumed_s = time.monotonic() - begun
    check_within("a block after one was started with the option", resumed_s, limit_s)
    # The other one, which nobody has told anything, signs by itself, and then the first one needs the option no more.
    cluster.wait_settled()
    speaker.kill()
    speaker.start()
    speaker.wait_answers()
    return {"block after the start with the option_s": resumed_s}


STEPS = (Step.PROPOSAL, Step.PREPARE, Step.COMMIT, Step.ROUND_CHANGE)
IN_CI = {(0, Step.PROPOSAL), (1, Step.PREPARE), (2, Step.ROUND_CHANGE)}
GOES_ON = "the chain goes on; the node is at the head again in 20 s"

GROUP = Group(
    name="kills",
    cases=(
        *(
            Case(
                fault="kill -9 one", dose=f"node {index + 1} after its {step.name}", run=partial(kill_at_step, index=index, step=step),
                in_ci=(index, step) in IN_CI, must_hold=GOES_ON,
            )
            for step in STEPS
            for index in range(VALIDATORS)
        ),
        *repeat(4, kill_one, fault="kill -9 one", dose="any node, any moment", must_hold=GOES_ON),
        *repeat(
            20, kill_too_many, fault="kill -9 F + 1", dose="any two, any moment", in_ci=2,
            must_hold="no block without them; one within 5 s of their return (30 s of their start)",
        ),
        *repeat(
            1, partial(kill_too_many, absent_s=ABSENT_S), fault="kill -9 F + 1", dose=f"any two, away for {ABSENT_S} s",
            must_hold="no block without them; one within 5 s of their return (30 s of their start)",
        ),
        *repeat(
            20, kill_all, fault="kill -9 all", dose="any moment", in_ci=2,
            must_hold="nothing final is lost; a block within 30 s of the start",
        ),
        *repeat(
            3, lose_disks, fault="disks of F + 1 lost", dose="all data, within a second", in_ci=1,
            must_hold="no block until one of them is started with --sign-without-watermark; then the other signs by itself",
        ),
    ),
)  # fmt: skip
