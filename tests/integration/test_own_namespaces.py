"""`admin_` and `ibft_` on a network of real processes, on the private listener and on the public one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import wait_until

from metanode.cli.calls import call
from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput
from metanode.rpc.ibft import PUBLIC_OF_VALIDATORS, PUBLIC_STATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunningNetwork

pytestmark = pytest.mark.timeout(300)

WITHIN_S = 20.0
"""Ten blocks; a node is dialled again within a second."""
ABSENT = "0x" + "ab" * 20


@pytest.fixture(scope="module")
def ask(network: RunningNetwork) -> Callable[..., Any]:
    """A call to the first validator's private listener."""
    return lambda method, *params: call(network.plan.nodes[0].private_url, method, *params)


def test_the_node_describes_itself_in_geth_s_shape(network: RunningNetwork, ask: Callable[..., Any]) -> None:
    info, node = ask("admin_nodeInfo"), network.plan.nodes[0]

    assert info["enode"] == f"enode://{info['id']}@127.0.0.1:{node.p2p_port}"
    assert info["ports"] == {"discovery": node.p2p_port, "listener": node.p2p_port}
    assert info["listenAddr"] == f"127.0.0.1:{node.p2p_port}"
    assert info["protocols"]["mtn"]["network"] == network.plan.spec.chain_id
    assert info["status"]["node"] == "validator-1"
    assert info["status"]["endpoints"]["rpc"] == node.rpc_url


def test_every_other_validator_is_a_proven_peer(ask: Callable[..., Any]) -> None:
    wait_until(lambda: len(ask("admin_peers")) == 3, within_s=WITHIN_S, what="three peers")

    peers = ask("admin_peers")
    own = ask("admin_nodeInfo")["status"]["validator"].lower()
    validators = set(ask("ibft_getValidatorsByBlockNumber", "latest"))

    assert {peer["protocols"]["mtn"]["validator"] for peer in peers} == validators - {own}
    assert {len(peer["id"]) for peer in peers} == {128}
    assert all(re.match(r"metanode/v", peer["name"]) for peer in peers)
    assert all(set(peer["network"]) == {"remoteAddress", "inbound", "static"} for peer in peers)


def test_a_peer_that_is_removed_goes_and_one_that_is_added_comes(own_network: RunningNetwork) -> None:
    one, two = (node.private_url for node in own_network.plan.nodes[:2])
    enode = call(two, "admin_nodeInfo")["enode"]
    identity = enode[len("enode://") :].split("@")[0]

    def is_static() -> bool:
        return any(peer["id"] == identity and peer["network"]["static"] for peer in call(one, "admin_peers"))

    assert call(one, "admin_removePeer", enode) is True
    wait_until(lambda: not is_static(), within_s=WITHIN_S, what="the peer to be forgotten")
    assert call(one, "admin_removePeer", enode) is False
    assert call(one, "admin_addPeer", enode) is True
    wait_until(is_static, within_s=WITHIN_S, what="the peer to be connected again")


@pytest.mark.parametrize("bad", ["", "http://127.0.0.1", "enode://zz@127.0.0.1:1", 7])
@pytest.mark.parametrize("method", ["admin_addPeer", "admin_removePeer"])
def test_an_address_that_is_no_enode_is_refused(ask: Callable[..., Any], method: str, bad: object) -> None:
    with pytest.raises(InvalidInput, match="enode"):
        ask(method, bad)


@pytest.mark.parametrize(
    "method",
    [
        "admin_nodeInfo",
        "admin_peers",
        "admin_addPeer",
        "ibft_proposeValidatorVote",
        "ibft_discardValidatorVote",
    ],
)
def test_what_changes_the_node_is_not_on_the_public_listener(network: RunningNetwork, method: str) -> None:
    with pytest.raises(InvalidInput, match="does not exist/is not available"):
        call(network.http_url, method)


def test_votes_are_wished_for_shown_and_discarded(network: RunningNetwork, ask: Callable[..., Any]) -> None:
    with pytest.raises(InvalidInput, match="is not connected"):
        ask("ibft_proposeValidatorVote", ABSENT, True)

    assert ask("ibft_proposeValidatorVote", ABSENT, True, {"force": True}) is True
    assert ask("ibft_getPendingVotes") == {ABSENT: True}
    assert call(network.url(1), "ibft_getPendingVotes") == {}
    assert ask("ibft_discardValidatorVote", ABSENT) is True
    assert ask("ibft_getPendingVotes") == {}


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("ibft_proposeValidatorVote", [], "missing value for required argument 0"),
        ("ibft_proposeValidatorVote", ["0x12", True], "expected 20 bytes"),
        ("ibft_proposeValidatorVote", [ABSENT, "true"], "expected true or false"),
        ("ibft_proposeValidatorVote", [ABSENT, False], "is not a validator"),
        ("ibft_proposeValidatorVote", [ABSENT, True, {"force": 1}], "invalid argument 2"),
        ("ibft_discardValidatorVote", [ABSENT, 1], "too many arguments"),
        ("ibft_getValidatorsByBlockNumber", ["newest"], "invalid argument 0"),
        ("ibft_getValidatorsByBlockHash", ["0x12"], "expected 32 bytes"),
        ("ibft_getSignerMetrics", ["0x2", "0x1"], "the range starts at 2"),
        ("ibft_getSignerMetrics", ["0x0", "0xffffff"], "is not known"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_with_the_reason(
    ask: Callable[..., Any], method: str, params: list[Any], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(reason)):
        ask(method, *params)


def test_validators_are_read_by_number_tag_and_hash(ask: Callable[..., Any]) -> None:
    validators = ask("ibft_getValidatorsByBlockNumber", "latest")
    block = ask("eth_getBlockByNumber", "0x1", False)

    assert len(validators) == 4
    assert all(len(parse_address(address)) == 20 for address in validators)
    for tag in ("0x1", "earliest", "pending"):
        assert ask("ibft_getValidatorsByBlockNumber", tag) == validators
    assert ask("ibft_getValidatorsByBlockHash", block["hash"]) == validators
    assert ask("ibft_getValidatorsByBlockNumber", "0xffffff") is None
    assert ask("ibft_getValidatorsByBlockHash", "0x" + "00" * 32) is None


def test_signer_metrics_count_every_block_of_the_range_once(ask: Callable[..., Any]) -> None:
    wait_until(lambda: int(ask("eth_blockNumber"), 16) >= 3, within_s=WITHIN_S, what="three blocks")

    entries = ask("ibft_getSignerMetrics", "0x1", "0x3")

    assert sum(int(entry["proposedBlockCount"], 16) for entry in entries) == 2
    assert {entry["lastProposedBlockNumber"] for entry in entries} == {"0x0", "0x1", "0x2"}
    assert sorted(entry["address"] for entry in entries) == ask("ibft_getValidatorsByBlockNumber", "0x2")


def test_a_commit_certificate_holds_a_quorum_of_seals_for_the_block(ask: Callable[..., Any]) -> None:
    wait_until(lambda: int(ask("eth_blockNumber"), 16) >= 2, within_s=WITHIN_S, what="two blocks")

    certificate = ask("ibft_getCommitCertificate", "0x1")

    assert (certificate["height"], certificate["canonical"]) == ("0x1", True)
    assert 3 <= len({seal["validator"] for seal in certificate["seals"]}) == len(certificate["seals"])
    assert ask("ibft_getCommitCertificate", "0xffffff") is None


def test_the_certificate_of_the_tip_is_what_this_node_has_and_not_yet_canonical(
    ask: Callable[..., Any],
) -> None:
    def tip() -> dict[str, Any]:
        """The tip's; a block that comes in between makes it the parent's."""
        while True:
            height = ask("eth_blockNumber")
            certificate: dict[str, Any] = ask("ibft_getCommitCertificate", height)
            if ask("eth_blockNumber") == height:
                return certificate

    wait_until(lambda: int(ask("eth_blockNumber"), 16) >= 2, within_s=WITHIN_S, what="two blocks")
    found = tip()
    assert found["canonical"] is False
    wait_until(
        lambda: ask("ibft_getCommitCertificate", found["height"])["canonical"] is True,
        within_s=WITHIN_S,
        what="the next block, which has a certificate of it",
    )


def test_the_consensus_state_names_every_validator(ask: Callable[..., Any]) -> None:
    wait_until(
        lambda: all(entry["connected"] for entry in ask("ibft_getConsensusState")["validators"]),
        within_s=WITHIN_S,
        what="all validators to be connected",
    )
    state = ask("ibft_getConsensusState")

    assert state["mode"] == "live"
    assert state["quorumWeight"] == "0x3"
    assert [entry["address"] for entry in state["validators"]] == ask(
        "ibft_getValidatorsByBlockNumber", "latest"
    )


def test_the_network_state_is_for_everybody_and_says_nothing_of_connections(ask: Callable[..., Any]) -> None:
    inside, state = ask("ibft_getConsensusState"), ask("ibft_getNetworkState")

    assert set(PUBLIC_STATE) | {"validators"} == set(state) < set(inside)
    assert {name for one in state["validators"] for name in one} == set(PUBLIC_OF_VALIDATORS)
    assert (state["network"], state["chainId"]) == (inside["network"], inside["chainId"])
    text = json.dumps(state)
    for private in ("127.0.0.1", "peer", '"own"', "clock", "Skew", "roundTrip", "connected", "refused"):
        assert private not in text, private


def test_epoch_and_evidence_are_those_of_a_young_honest_network(ask: Callable[..., Any]) -> None:
    epoch = ask("ibft_getEpochInfo")

    assert (epoch["epoch"], epoch["firstBlock"], epoch["epochLength"]) == ("0x0", "0x0", hex(30_000))
    assert ask("ibft_getEvidence") == []


def test_a_node_at_the_head_is_not_syncing(network: RunningNetwork) -> None:
    assert call(network.http_url, "eth_syncing") is False
