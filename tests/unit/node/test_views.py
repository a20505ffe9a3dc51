"""What operators are told of a node, on a driver that stands still."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from metanode.chain.genesis import Genesis, make_genesis, parse_genesis
from metanode.chain.quorum import QuorumRule
from metanode.chain.validators import ValidatorSet
from metanode.consensus.inputs import Mode
from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from metanode.node.views import Administration, ChainView
from metanode.primitives.types import Address
from metanode.rpc.errors import UnsupportedInMode
from metanode.rpc.ibft import ibft_methods

MEMBERS = [Address(bytes([number]) * 20) for number in range(1, 5)]
STRANGER = Address(b"\x77" * 20)


def genesis(rule: QuorumRule) -> Genesis:
    made = make_genesis(
        network_name="views",
        chain_id=1337,
        genesis_time=1_700_000_000,
        validators=ValidatorSet.of_addresses(MEMBERS),
        balances={},
        quorum_rule=rule,
    )
    return parse_genesis(json.dumps(made))


GENESIS = genesis(QuorumRule.AUTHORITY)


def header(height: int) -> Any:
    return SimpleNamespace(
        height=height, hash=bytes([height]) * 32, execution_hash=bytes([height]) * 32, timestamp=2 * height
    )


def driver(*, tip: int, final: int, mode: Mode = Mode.LIVE) -> Any:
    wishes: dict[Address, bool] = {}

    def set_wishes(changed: dict[Address, bool]) -> None:
        wishes.clear()
        wishes.update(changed)

    return SimpleNamespace(
        tip=SimpleNamespace(header=header(tip), state=GENESIS.state),
        final_height=final,
        mode=mode,
        is_running=True,
        halted=None,
        is_key_shared=False,
        wishes=wishes,
        set_wishes=set_wishes,
    )


def administration(held: Any) -> Administration:
    return Administration(
        name="node",
        network_kind="local",
        client="test",
        genesis=GENESIS,
        driver=held,
        network=SimpleNamespace(peers=list),  # type: ignore[arg-type] # only what is asked of it
        services=SimpleNamespace(status=dict),  # type: ignore[arg-type] # the same
        own=MEMBERS[0],
    )


def test_height_hash_and_time_are_of_one_block_while_the_next_one_is_written() -> None:
    node = administration(driver(tip=7, final=6))
    node.upon_decided(SimpleNamespace(block=SimpleNamespace(header=header(6))))  # type: ignore[arg-type] # a header is enough

    status = node.status()

    assert (status["height"], status["block_hash"], status["timestamp"]) == (6, "0x" + "06" * 32, 12)


def test_after_a_start_the_tip_is_shown_once_it_can_be_read() -> None:
    assert administration(driver(tip=5, final=5)).status()["block_hash"] == "0x" + "05" * 32

    behind = administration(driver(tip=5, final=3)).status()

    assert (behind["height"], behind["block_hash"], behind["timestamp"]) == (3, None, None)


@pytest.mark.parametrize(
    ("mode", "now_s", "reason"),
    [
        (Mode.LIVE, 10 + 20, None),
        (Mode.LIVE, 10 + 21, "no block for 21 s"),
        (Mode.SYNCING, 10, "syncing: height 5"),
        (Mode.CATCHING_UP, 10, "catching up: height 5"),
    ],
)
def test_a_node_that_is_late_or_behind_gets_no_traffic(mode: Mode, now_s: float, reason: str | None) -> None:
    node = administration(driver(tip=5, final=5, mode=mode))

    assert node.unready_reason(now_s) == reason


def chain_view(
    own: Address | None, *, peers: list[Any] | None = None, genesis: Genesis = GENESIS
) -> ChainView:
    network = SimpleNamespace(peers=lambda: peers or [])
    return ChainView(genesis=genesis, driver=driver(tip=9, final=9), store=None, network=network, own=own)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "subject", "add", "sentence"),
    [
        (None, STRANGER, True, "is no validator and has no vote"),
        (MEMBERS[0], MEMBERS[1], True, "already a validator"),
        (MEMBERS[0], STRANGER, False, "not a validator"),
        (MEMBERS[0], STRANGER, True, "is not connected to this node"),
    ],
)
def test_a_vote_that_could_mean_nothing_is_refused(
    own: Address | None, subject: Address, *, add: bool, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        chain_view(own).propose_vote(subject, add=add, force=False)


def test_a_candidate_has_to_be_at_the_head_or_forced() -> None:
    late = SimpleNamespace(proven=STRANGER, height=7)
    ready = SimpleNamespace(proven=STRANGER, height=8)

    with pytest.raises(InvalidInput, match="at height 7 of 9"):
        chain_view(MEMBERS[0], peers=[late]).propose_vote(STRANGER, add=True, force=False)
    for view, force in ((chain_view(MEMBERS[0], peers=[ready]), False), (chain_view(MEMBERS[0]), True)):
        view.propose_vote(STRANGER, add=True, force=force)
        assert view.wishes() == {STRANGER: True}
        view.discard_vote(STRANGER)
        assert view.wishes() == {}


@pytest.mark.parametrize("method", ["ibft_proposeValidatorVote", "ibft_discardValidatorVote"])
@pytest.mark.parametrize("own", [MEMBERS[0], None])
def test_under_proof_of_stake_the_vote_methods_are_not_enabled(method: str, own: Address | None) -> None:
    view = chain_view(own, genesis=genesis(QuorumRule.STAKE))
    methods = ibft_methods(view)
    params = [format_address(STRANGER), *([True, {"force": True}] if "propose" in method else [])]

    with pytest.raises(UnsupportedInMode, match="not enabled: this network is under proof of stake") as told:
        asyncio.run(methods[method].handler(params))

    assert told.value.code == -32604
    assert view.wishes() == {}
