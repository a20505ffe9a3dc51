"""Accountability: that its scenarios can fail. Their claims are played with all others, in test_scenarios.py."""

import pytest

from metanode.consensus import evidence, witness
from metanode.consensus.evidence import Rule, Statement
from metanode.simulation.invariants import InvariantBroken
from metanode.simulation.playing import play


def test_without_the_rule_of_the_forgotten_commit_a_fork_across_rounds_convicts_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Equivocation alone is not enough (docs/spec/consensus.md, Accountability)."""
    whole = evidence.find_rule

    def only_equivocation(first: Statement, second: Statement) -> Rule | None:
        found = whole(first, second)
        return found if found is Rule.EQUIVOCATION else None

    monkeypatch.setattr(witness, "find_rule", only_equivocation)
    with pytest.raises(InvariantBroken, match="a weight of 0 of 4 is proven guilty"):
        play("fork-across-rounds", 1)


def test_a_verifier_that_does_not_look_at_signatures_lets_honest_validators_be_framed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evidence, "verify_statement", lambda *_, **__: None)
    with pytest.raises(InvariantBroken, match="is framed by"):
        play("liars-are-convicted", 1)


def test_a_witness_that_takes_two_rounds_for_one_accuses_the_honest_and_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = evidence.find_rule

    def too_eager(first: Statement, second: Statement) -> Rule | None:
        if first.vote_class is second.vote_class and first.content != second.content:
            return Rule.EQUIVOCATION
        return whole(first, second)

    monkeypatch.setattr(witness, "find_rule", too_eager)
    monkeypatch.setattr(evidence, "find_rule", too_eager)
    with pytest.raises(InvariantBroken, match="who is honest"):
        play("silent-proposer", 1)
