"""What `ibft_getConsensusState` shows, on drivers of simulated networks: each part that says why a height does not move."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from metanode.consensus.messages import Commit, Prepare
from metanode.node.consensus_view import describe_consensus
from metanode.p2p.ports import PeerInfo
from metanode.p2p.refusals import Refusal
from metanode.primitives.types import Hash32
from metanode.simulation.adversaries.equivocating import sign_vote
from metanode.simulation.cluster import Cluster
from metanode.simulation.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def play(scenario: Callable[[Cluster], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        await scenario(Cluster(seed=5, **options))

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(whole())


def view(
    cluster: Cluster,
    index: int,
    *,
    peers: list[PeerInfo] | None = None,
    refusals: list[Refusal] | None = None,
) -> dict[str, Any]:
    """What a node shows, after its way through JSON."""
    node = cluster.nodes[index]
    genesis = SimpleNamespace(
        network_name="simulation",
        chain_id=cluster.rules.chain_id,
        hash=cluster.rules.genesis_hash,
        parameters=cluster.rules.parameters,
    )
    network = SimpleNamespace(peers=lambda: peers or [], refusals=lambda: refusals or [])
    document = describe_consensus(
        genesis=genesis,  # type: ignore[arg-type] # what is read of it
        driver=node.driver,
        network=network,  # type: ignore[arg-type] # the same
        own=node.address,
        now_s=asyncio.get_running_loop().time(),
    )
    return json.loads(json.dumps(document))


def entry(shown: dict[str, Any], cluster: Cluster, index: int) -> dict[str, Any]:
    address = "0x" + cluster.nodes[index].key.address.hex()
    return next(found for found in shown["validators"] if found["address"] == address)


def peer(cluster: Cluster, index: int, **changes: Any) -> PeerInfo:
    fields = {
        "node_id": bytes([index]) * 64, "address": f"127.0.0.1:{index}", "client": "test", "is_inbound": False, "is_static": True,
        "proven": cluster.nodes[index].key.address, "is_validator": True, "height": 3, "clock_skew_ms": 0, "round_trip_ms": 2,
        "connected_s": 9.04,
    }  # fmt: skip
    return PeerInfo(**{**fields, **changes})  # type: ignore[arg-type] # a table of fields


def test_a_height_without_a_quorum_shows_who_was_not_heard_and_the_weights() -> None:
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(3)
            for index in (2, 3):
                cluster.crash(index)
            await cluster.wait_s(30)
            shown = view(cluster, 0)
            assert (shown["head"], shown["height"]) == (hex(cluster.height), hex(cluster.height + 1))
            assert shown["round"] == "0x1"
            assert (shown["phase"], shown["mode"], shown["signs"]) == ("proposal", "live", True)
            assert (shown["roundChangeWeight"], shown["quorumWeight"], shown["totalWeight"]) == (
                "0x2",
                "0x3",
                "0x4",
            )
            assert 20 < shown["secondsSinceDecision"] <= 33
            assert shown["timersMs"]["round"] is None, "it ends when a quorum has come to it"
            assert 0 < shown["timersMs"]["resend"] <= 4_000
            assert shown["timersMs"]["slot"] is None
            heard, missing = entry(shown, cluster, 1), entry(shown, cluster, 3)
            assert heard["roundWanted"] == shown["round"]
            assert heard["signed"]["roundChange"]["round"] == shown["round"]
            assert heard["signed"]["roundChange"]["secondsAgo"] <= 33
            assert heard["lastMessage"]["secondsAgo"] <= 5, "it is heard as often as it repeats itself"
            assert heard["signed"]["commit"] is None
            assert missing["lastMessage"]["secondsAgo"] > 20
            assert missing["signed"]["roundChange"] is None
            assert int(missing["lastSeal"], 16) <= cluster.height
            assert entry(shown, cluster, 0)["own"]

    play(scenario)


def test_a_dead_validator_is_shown_as_skipped_once_its_turns_are_gone() -> None:
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            cluster.crash(3)
            height = cluster.height
            await cluster.wait_height(height + 12, nodes=[0, 1, 2])
            shown = view(cluster, 0)
            dead = entry(shown, cluster, 3)
            assert dead["skipped"]
            assert height <= int(dead["lastActive"], 16) <= height + 2
            assert int(dead["lastSeal"], 16) <= height + 1
            assert not any(entry(shown, cluster, index)["skipped"] for index in range(3))
            assert int(entry(shown, cluster, 1)["lastSeal"], 16) >= cluster.height - 1

    play(scenario)


def test_peers_show_what_they_claim_and_who_holds_no_key_of_the_set() -> None:
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(1)
            stranger = peer(cluster, 2, proven=b"\x77" * 20, is_validator=False)
            peers = [peer(cluster, 1, clock_skew_ms=30_000), peer(cluster, 3, clock_skew_ms=30_000), stranger]
            refusal = Refusal(
                node_id=b"\x01" * 64, address="127.0.0.1:5", client="x" * 500, reason="genesis", genesis_hash=Hash32(b"\x0a" * 32),
                chain_id=7, validator=cluster.nodes[2].key.address, times=2, at_s=asyncio.get_running_loop().time() - 3,
            )  # fmt: skip
            shown = view(cluster, 0, peers=peers, refusals=[refusal])
            assert shown["clockOffsetMs"] == -30_000
            connected = entry(shown, cluster, 1)
            assert connected["connected"]
            assert connected["peer"] == {
                "address": "127.0.0.1:1", "height": "0x3", "clockSkewMs": 30_000, "roundTripMs": 2, "connectedSeconds": 9.0,
            }  # fmt: skip
            assert not entry(shown, cluster, 2)["connected"]
            assert [found["address"] for found in shown["strangers"]] == ["0x" + "77" * 20]
            (refused,) = shown["refusedPeers"]
            assert (refused["reason"], refused["secondsAgo"], refused["times"]) == ("genesis", 3.0, "0x2")
            assert refused["validator"] == "0x" + cluster.nodes[2].key.address.hex()
            assert len(refused["client"]) == 200

    play(scenario)


@pytest.mark.parametrize(
    ("options", "index", "silence"),
    [({"followers": 1}, 4, "follower"), ({"candidates": 1}, 4, "not in the validator set"), ({}, 0, None)],
)
def test_why_a_key_is_silent_is_said(options: dict[str, int], index: int, silence: str | None) -> None:
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(1)
            shown = view(cluster, index)
            assert (shown["silence"], shown["signs"]) == (silence, silence is None)

    play(scenario, **options)


def test_a_lost_watermark_is_said() -> None:
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            cluster.crash(0)
            await cluster.wait_s(1)
            cluster.nodes[0].disk.watermark, cluster.nodes[0].disk.has_watermark_file = None, False
            for index in (1, 2, 3):
                cluster.crash(index)
            cluster.start(0)
            await cluster.wait_s(7)
            shown = view(cluster, 0)
            assert (shown["silence"], shown["signs"]) == ("watermark lost", False)

    play(scenario)


def test_an_engine_that_is_away_is_shown_with_its_reason() -> None:
    async def scenario(cluster: Cluster) -> None:
        async with cluster.running():
            await cluster.wait_height(2)
            cluster.nodes[0].is_engine_available = False
            await cluster.wait_height(cluster.height + 5, nodes=[1, 2, 3])
            shown = view(cluster, 0)
            assert shown["mode"] == "catching up"
            assert int(shown["engine"]["backlog"], 16) >= 3
            assert "syncing" in shown["engine"]["trouble"]
            cluster.nodes[0].is_engine_available = True
            await cluster.wait_height(cluster.height + 1)
            assert view(cluster, 0)["engine"]["trouble"] is None

    play(scenario)


def test_a_lie_is_not_shown_as_another_vote() -> None:
    """A second commit in one place changes nothing of what is shown: the first one stands."""

    async def scenario(cluster: Cluster) -> None:
        def doubled(message: Any) -> list[tuple[int, Any]]:
            told = [(other, message) for other in range(4)]
            if isinstance(message, Prepare | Commit):
                forged = sign_vote(cluster.nodes[3], message, Hash32(b"\x01" * 32))
                told += [(other, forged) for other in range(4)]
            return told

        cluster.nodes[3].is_byzantine = True
        cluster.nodes[3].mischief = doubled
        async with cluster.running():
            await cluster.wait_height(3, nodes=[0, 1, 2])
            assert view(cluster, 0)["totalWeight"] == "0x4"
            assert {evidence.author for evidence in cluster.nodes[0].disk.evidence} == {
                cluster.nodes[3].key.address
            }

    play(scenario)
