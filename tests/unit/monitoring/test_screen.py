"""What the screen says of a look: numbers that one page of counters does not have."""

from __future__ import annotations

import pytest
from tests.unit.monitoring.networks import KEYS, block, network, observed, page, pictured

from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.errors import InvalidInput
from metanode.primitives.hexadecimal import decode_data, encode_data
from metanode.primitives.types import ZERO_HASH, Address, Height, Round
from sdk.testnet.monitoring import screen
from sdk.testnet.monitoring.memory import Memory
from sdk.testnet.monitoring.observation import read_block
from sdk.testnet.monitoring.thresholds import Thresholds

CALLS = 'metanode_rpc_requests_total{{method="eth_call",result="ok"}} {}\nmetanode_rpc_errors_total{{method="eth_call",code="{}"}} {}'


def ratios(*looks: tuple[tuple[int, str, int], tuple[int, str, int]]) -> list[float | None]:
    """The share of calls that failed, look after look, ten seconds apart: for each node its calls, an error's code and count."""
    memory, found = Memory(), []
    for number, nodes in enumerate(looks):
        pages = {
            f"validator-{place}": page(CALLS.format(*counts)) for place, counts in enumerate(nodes, start=1)
        }
        seen = pictured(observed(*network(), at_s=1_000.0 + 10 * number, pages=pages), memory)
        found.append(screen.details(seen)["traffic"]["rpc_error_ratio"])
    return found


def test_the_share_of_failed_calls_is_of_what_came_since_the_first_look_on_all_nodes() -> None:
    begin = ((1_000, "-32603", 900), (10, "-32603", 0))

    assert ratios(begin) == [None], "what was before is not of these five minutes"
    assert ratios(begin, begin) == [None, None], "nothing was called"
    assert ratios(begin, ((1_060, "-32603", 901), (50, "-32603", 1))) == [None, 0.02]
    # A call that the caller got wrong is no fault of a node.
    caller = ((1_060, "-32000", 905), (50, "3", 40))
    assert ratios(begin, caller) == [None, 0.0]
    # A node that was started anew counts from nothing.
    assert ratios(begin, ((30, "-32603", 3), (80, "-32603", 7))) == [None, 0.1]


def test_the_memory_of_a_polled_node_is_a_share_of_what_it_may_take() -> None:
    resident = {"validator-1": page("process_resident_memory_bytes 2147483648")}
    seen = observed(*network(down=(3,)), pages=resident)

    def usages(limits: Thresholds) -> list[float | None]:
        return [one.memory_usage for one in screen.healths(seen, Memory(), 1_000.0, limits)]

    assert usages(Thresholds()) == [50.0, None, None, None]
    assert usages(Thresholds(node_memory_bytes=8 * 1024**3)) == [25.0, None, None, None]


MISSED = 'metanode_consensus_proposals_missed_total{{validator="{}"}} {}'


def test_a_turn_is_missed_alone_where_no_other_validator_misses_one_at_that_time() -> None:
    """One misses its turns for itself; then the network falls apart, and two miss theirs. A second node sees the same a look later."""
    memory = Memory()
    looks = [(0, 0), (1, 0), (2, 0), (2, 0), (4, 3), (4, 3), (4, 3)]
    for number, of_first in enumerate(looks):
        of_second = looks[max(0, number - 1)]
        pages = {
            name: page("\n".join(MISSED.format(KEYS[at], count) for at, count in enumerate(counts)))
            for name, counts in (("validator-1", of_first), ("validator-2", of_second))
        }
        seen = pictured(observed(*network(), at_s=1_000.0 + 10 * number, pages=pages), memory)
    found = {each["name"]: (each["missed_30m"], each["solo_missed_30m"]) for each in screen.validators(seen)}

    assert found == {
        "validator-1": (4, 2),
        "validator-2": (3, 0),
        "validator-3": (0, 0),
        "validator-4": (0, 0),
    }


LATE = 'metanode_consensus_late_commits_total{{validator="{}"}} {}'


def test_late_commits_are_those_of_the_node_that_has_seen_most_since_the_first_look() -> None:
    memory, found = Memory(), []
    for number, (one, other) in enumerate([(100, 7), (110, 9), (112, 29)]):
        pages = {
            name: page(LATE.format(KEYS[1].upper().replace("X", "x"), count))
            for name, count in (("validator-1", one), ("validator-3", other))
        }
        seen = pictured(observed(*network(), at_s=1_000.0 + 10 * number, pages=pages), memory)
        found.append([each["late_commits_30m"] for each in screen.validators(seen)])

    assert found == [[0, 0, 0, 0], [0, 10, 0, 0], [0, 22, 0, 0]]
    without = screen.validators(pictured(observed(*network())))
    assert [each["late_commits_30m"] for each in without] == [None] * 4, "where no node tells, nobody knows"


def test_a_letter_for_each_block_says_what_a_validator_did_for_it() -> None:
    blocks = (
        block(801, 1_602, proposer=KEYS[0], sealed_by=KEYS[1:4]),
        block(802, 1_604, proposer=KEYS[1], sealed_by=KEYS[:3]),
        block(803, 1_606, proposer=None, sealed_by=()),
        block(804, 1_608, proposer=KEYS[3], sealed_by=()),
    )
    shown = screen.details(pictured(observed(*network(), blocks=blocks)))

    assert [each["number"] for each in shown["blocks"]] == [801, 802, 803, 804]
    assert {each["address"]: each["in_blocks"] for each in shown["validators"]} == {
        KEYS[0]: "ps??",
        KEYS[1]: "sp??",
        KEYS[2]: "ss??",
        KEYS[3]: "s-?p",
    }


def test_letters_are_of_no_more_blocks_than_the_strip_has() -> None:
    blocks = tuple(block(number, 2 * number) for number in range(1, 150))
    shown = screen.details(pictured(observed(*network(), blocks=blocks)))

    assert {len(each["in_blocks"]) for each in shown["validators"]} == {len(shown["blocks"])} == {120}


def test_who_made_a_block_is_told_by_its_header_and_not_by_who_gets_its_fees() -> None:
    told = {
        "number": "0x7", "hash": "0x" + "21" * 32, "timestamp": "0xe", "transactions": [], "gasUsed": "0x0", "gasLimit": "0x10",
        "miner": KEYS[1],
    }  # fmt: skip

    assert read_block(told, None, header(KEYS[0])).proposer == KEYS[0]
    assert read_block(told, None, header("0x" + "00" * 20)).proposer is None, "nobody made the genesis block"
    assert read_block(told, None, InvalidInput("no such method")).proposer is None
    with pytest.raises(InvalidInput):
        read_block(told, None, "0x00")


def header(proposer: str) -> str:
    return encode_data(
        ConsensusHeader(
            version=1, chain_tag=ZERO_HASH, height=Height(7), parent_hash=ZERO_HASH, execution_hash=ZERO_HASH, requests_hash=ZERO_HASH,
            timestamp=14, proposer=Address(decode_data(proposer)), proposal_round=Round(0), validators_hash=ZERO_HASH,
            next_validators_hash=ZERO_HASH, consensus_state_root=ZERO_HASH, parent_certificate_hash=ZERO_HASH, vote=None,
            evidence_root=EMPTY_EVIDENCE_ROOT,
        ).encode()
    )  # fmt: skip
