"""The suite has teeth: with a rule taken out, a scenario fails. Each test breaks one rule of the protocol and expects to be told."""

from collections.abc import Iterable

import pytest

from metanode.chain.quorum import QuorumRule
from metanode.consensus.core import Core
from metanode.consensus.inputs import VerdictGiven
from metanode.consensus.phases import rounds
from metanode.consensus.votes import RoundChangeBook, VoteBook
from metanode.execution.client import ExecutionPayload, Valid
from metanode.node.execution_worker import ExecutionWorker
from metanode.node.timers import Timers
from metanode.simulation.__main__ import play, run
from metanode.simulation.cluster import Cluster
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.scenarios import SCENARIOS


def any_seed_fails(name: str, seeds: Iterable[int] = range(1, 6), validators: int | None = None) -> None:
    for seed in seeds:
        try:
            play(name, seed, validators)
        except (InvariantBroken, AssertionError):
            return
    pytest.fail(f"{name} holds without the rule")


def test_a_disk_that_forgets_what_was_prepared_forks_the_network() -> None:
    scenario = SCENARIOS["forgotten-block"]
    cluster = scenario.draw(1, None)
    cluster.checker.checks_keys = False
    for node in cluster.nodes:
        node.disk.forgets = True
    with pytest.raises(InvariantBroken, match="fork at height 1"):
        run(scenario, cluster)


def test_a_disk_that_forgets_lets_honest_keys_contradict_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(cluster: Cluster, index: int) -> None:
        cluster.nodes[index].disk.forgets = True
        start(cluster, index)

    start = Cluster.start
    monkeypatch.setattr(Cluster, "start", forget)
    any_seed_fails("crash-at-boundaries", range(1, 30))


def test_without_the_jump_nodes_in_different_rounds_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RoundChangeBook, "jump_target", lambda _self, _current, _electorate: None)
    any_seed_fails("different-rounds")


def test_without_the_timer_of_a_new_round_a_jump_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Timers.start_round
    monkeypatch.setattr(
        Timers, "start_round", lambda self, effect: original(self, effect) if effect.round == 0 else None
    )
    any_seed_fails("silent-proposer")


def test_forgotten_commits_of_old_rounds_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = VoteBook.add

    def forgetful(self: VoteBook, vote: object, *, current: int) -> object:
        return original(self, vote, current=current) if vote.round >= current else None

    monkeypatch.setattr(VoteBook, "add", forgetful)
    any_seed_fails("commits-after-two-rounds")


def test_an_unavailable_client_taken_for_a_verdict_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check_once(self: ExecutionWorker) -> bool:
        block = self._to_check.popleft()
        verdict = await self._verdict(_payload(block))
        self._feed(VerdictGiven(block_hash=block.hash, is_valid=isinstance(verdict, Valid)))
        return True

    monkeypatch.setattr(ExecutionWorker, "_check_next", check_once)
    any_seed_fails("engines-hiccup")


def test_a_proposer_that_ignores_prepared_blocks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(core: Core, round_: int) -> None:
        core.current.prepared = None
        original(core, round_)

    original = rounds.enter
    monkeypatch.setattr(rounds, "enter", forget)
    any_seed_fails("prepared-by-all")


def test_half_of_the_weight_as_a_quorum_forks_a_network_in_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuorumRule, "is_quorum", lambda _self, weight, total: 2 * weight >= total)
    any_seed_fails("partition-in-halves")


def _payload(block: object) -> object:
    return ExecutionPayload(execution_rlp=block.execution_rlp, requests=block.requests)
