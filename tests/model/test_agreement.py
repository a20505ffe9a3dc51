"""The protocol's model, searched whole: what makes it safe, and what each of its rules is needed for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.model import ibft
from tests.model.ibft import Lost, Rules
from tests.model.search import search

if TYPE_CHECKING:
    from tests.model.ibft import State

STATES_MAX = 700_000
"""The largest search that has to end without a finding visits 602,718."""
EACH_BYZANTINE = [frozenset({index}) for index in range(ibft.VALIDATORS)]
"""The proposer of each round in turn, and the validator that never proposes."""


def _is_unsafe(state: State, rules: Rules) -> bool:
    return ibft.has_fork(state, rules) or _has_convictable(state, rules)


def _has_convictable(state: State, _: Rules) -> bool:
    return any(validator is not None and ibft.is_convictable(validator) for validator in state)


@pytest.mark.parametrize("byzantine", EACH_BYZANTINE)
def test_with_a_durable_memory_no_state_has_a_fork_or_convicts_an_honest_validator(
    byzantine: frozenset[int],
) -> None:
    found = search(Rules(byzantine=byzantine), _is_unsafe, states_max=STATES_MAX)
    assert found.path == ()
    assert found.states > 150_000, "so few states: the model does not move"


def test_a_seal_after_the_decision_is_safe() -> None:
    found = search(Rules(seals_after_decision=True), _is_unsafe, states_max=STATES_MAX)
    assert found.path == ()


@pytest.mark.parametrize("byzantine", EACH_BYZANTINE)
@pytest.mark.parametrize("lost", [Lost.ROUND, Lost.CERTIFICATE, Lost.ROUND | Lost.CERTIFICATE])
def test_a_memory_that_a_crash_can_take_forks(byzantine: frozenset[int], lost: Lost) -> None:
    found = search(Rules(byzantine=byzantine, crash_loses=lost), ibft.has_fork, states_max=STATES_MAX)
    assert ibft.has_fork(found.path[-1], Rules(byzantine=byzantine))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Rules(quorum=2), id="a quorum of two"),
        pytest.param(Rules(highest_certificate_wins=False), id="a lower certificate is accepted"),
        pytest.param(Rules(commit_needs_certificate=False), id="a commit without a certificate"),
        pytest.param(Rules(byzantine=frozenset({2, 3})), id="two of four are Byzantine"),
    ],
)
def test_without_this_rule_there_is_a_fork(broken: Rules) -> None:
    assert search(broken, ibft.has_fork, states_max=STATES_MAX).path


def test_a_seal_in_a_round_that_was_left_convicts_its_signer() -> None:
    broken = Rules(seals_after_decision=True, seal_respects_watermark=False)
    assert search(broken, _has_convictable, states_max=STATES_MAX).path
