"""What the index says of rounds that failed, of votes and of the set, on a network where one validator dies and is voted out."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from tests.testnet.index_chain import Chain
from tests.testnet.index_runs import contents, index_to

from sdk.testnet import Testnet
from sdk.testnet.services.queries import Slice, blocks, consensus, statistics, validators
from sdk.testnet.services.store import Store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

DEADLINE_S = 120.0


@pytest.mark.timeout(400)
def test_a_dead_validator_s_turns_votes_and_removal_are_in_the_index(tmp_path: Path) -> None:
    store, whole = (Store(f"sqlite:///{tmp_path}/{name}.db") for name in ("parts", "whole"))
    with (
        Testnet(validators=4, block_time_s=1, in_memory=True) as net,
        Chain(net.rpc_url, net.accounts[0]) as chain,
    ):
        with Chain(net.node(3).rpc_url, net.accounts[0]) as own:
            dead = own.rpc("ibft_getConsensusState")["validator"]
        net.node(3).kill()
        killed_at = int(chain.rpc("eth_blockNumber"), 16)
        net.wait_for_block(killed_at + 9)
        # The index goes on in the middle, so that what it remembers between blocks is on its disk too.
        asyncio.run(index_to(store, net.rpc_url, killed_at + 5))
        for node in net.directory.load_plan().nodes[:3]:
            with Chain(node.private_url, net.accounts[0]) as voter:
                assert voter.rpc("ibft_proposeValidatorVote", dead, False)
        deadline = time.monotonic() + DEADLINE_S
        while len(chain.rpc("ibft_getValidatorsByBlockNumber", "pending")) == 4:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        head = int(chain.rpc("eth_blockNumber"), 16) + 2
        net.wait_for_block(head)
        # A halted chain has one head for both.
        net.node(1).kill()
        net.node(2).kill()
        head = chain.halted_head()
        for each in (store, whole):
            asyncio.run(index_to(each, net.rpc_url, head))
        late = {
            number: int(chain.rpc("ibft_getCommitCertificate", hex(number))["round"], 16)
            for number in range(1, head)
        }

    who = bytes.fromhex(dead[2:])
    with store.look() as connection:
        skips = consensus.list_skips(connection, Slice(limit=1_000)).items
        row = validators.get_validator(connection, who)
        others = [one for one in validators.list_validators(connection) if one.account.address != who]
        votes = consensus.list_votes(connection).items
        changes = consensus.list_set_changes(connection, validator=who).items
        late_blocks = blocks.list_blocks(connection, Slice(limit=1_000), late_only=True).items
        members_before = consensus.members_of(connection, changes[0].number - 1)
        members_after = consensus.members_of(connection, changes[0].number)
        sums = statistics.totals(connection)
    assert {skip.number for skip in skips} == {number for number, found in late.items() if found}
    assert len(skips) == sum(late.values())
    assert any(skip.validator.address == who and skip.round == 0 for skip in skips)
    assert row is not None
    assert row.missed_turns == sum(skip.validator.address == who for skip in skips) > 0
    assert {block.number: block.round for block in late_blocks if block.is_canonical} == {
        number: found for number, found in late.items() if found
    }
    assert sums.late_blocks == len([found for found in late.values() if found])
    assert not row.is_member
    assert (row.last_sealed or 0) <= killed_at + 1
    # Three of four are more than half.
    assert {vote.subject.address for vote in votes} == {who}
    assert all(not vote.add for vote in votes)
    assert len({vote.voter.address for vote in votes}) == 3
    assert sum(one.vote_count for one in others) == len(votes)
    assert [change.added for change in changes] == [False, True]
    assert (len(members_before), len(members_after)) == (4, 3)
    assert contents(store) == contents(whole), "in two parts or at once, the index is the same"
    store.close()
    whole.close()
