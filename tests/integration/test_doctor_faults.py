"""`metanode doctor` on real processes whose network, disk or chain is hurt: a partition, an engine that takes no blocks, two decided blocks.

Four validators behind the relay of tests/integration/faults, asked by their RPC addresses, as nodes elsewhere are. The monitor looks at the same fork.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import slowness, wait_until
from tests.integration.faults.catalogue import failing_disks
from tests.integration.faults.catalogue.failing_disks import VICTIM, Disk
from tests.integration.faults.cluster import Cluster
from tests.integration.faults.links import between
from tests.integration.test_doctor import ask_doctor, say
from typer.testing import CliRunner

from metanode.chain.certificate import Certificate
from metanode.chain.genesis import parse_genesis
from metanode.cli.program import app
from metanode.consensus import wire
from metanode.consensus.messages import Decision
from metanode.crypto.keystore import load_key
from metanode.p2p.enode import parse_enode
from metanode.primitives.types import Hash32, Height, Round
from sdk.testnet.monitoring.alerts.catalogue import AlertSeverity
from sdk.testnet.monitoring.monitor import TestnetMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdk.testnet.monitoring.alerts.board import Alert

pytestmark = pytest.mark.timeout(600)

SEEN_WITHIN_S = 90.0
"""In a stall a validator that came along to the round before is called silent after 44 s."""
WELL_WITHIN_S = 90.0
FORGED = Hash32(b"\x66" * 32)


class Watched:
    """The network, and what the doctor says of it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.lasting: set[str] = set()
        """Findings that stay for ever, since a test brought them about: tests come in any order."""

    def urls(self, *indices: int) -> list[str]:
        return [self.cluster.nodes[index].rpc.url for index in indices or range(4)]

    def wait_finding(self, code: str, *urls: str, says: str = "") -> dict[str, Any]:
        """Wait until the doctor has this finding with this text in it."""
        asked = urls or self.urls()

        def look() -> dict[str, Any] | None:
            exit_code, document = ask_doctor(*asked)
            for finding in document["findings"]:
                if finding["code"] == code and says in finding["text"]:
                    assert exit_code == 1
                    return {**finding, "headline": document["headline"]}
            return None

        return wait_until(
            look,
            within_s=SEEN_WITHIN_S * slowness(),
            what=lambda: f"{code} {says!r}: {ask_doctor(*asked)[1]}",
        )

    def wait_well(self) -> None:
        """Wait until all four move and sign, and nothing is found but what stays for ever."""

        def is_well() -> bool:
            document = ask_doctor(*self.urls())[1]
            serious = {found["code"] for found in document["findings"] if found["severity"] != "note"}
            # Who was started a moment ago and does not sign yet is excused by the doctor; a test that hurts the others needs it.
            silent = [node for node in self.cluster.nodes if node.consensus()["silence"] is not None]
            return document["moving"] and serious <= self.lasting and not silent

        wait_until(
            is_well,
            within_s=WELL_WITHIN_S * slowness(),
            what=lambda: f"health: {ask_doctor(*self.urls())[1]}",
        )


async def look_twice(urls: list[str]) -> dict[str, Alert]:
    """What the monitor of these nodes alarms about, by name, after two looks; each condition of a fork fires at the first."""
    monitor = TestnetMonitor(urls)
    for _ in range(2):
        await monitor.look()
    return {alert.name: alert for alert in monitor.alerts}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    path = tmp_path_factory.mktemp("doctored")
    hurt = {} if failing_disks.why_not() else failing_disks.environments(path, below="data/engine")
    with Cluster(path, "relay", environments=hurt) as cluster:
        found = Watched(cluster)
        found.wait_well()
        yield found


@pytest.fixture(autouse=True)
def _links_whole_again(watched: Watched) -> Iterator[None]:
    """A test that fails leaves no cut links to the next one."""
    yield
    watched.cluster.links.heal()


def test_a_partition_is_shown_with_its_sides_and_their_rounds(watched: Watched) -> None:
    watched.cluster.links.cut(between(((0, 1), (2, 3))))
    finding = watched.wait_finding("partition", says="validators that run do not hear each other")
    one, other = finding["text"].split(" on one side, ")
    sides = [{url for url in watched.urls() if url in side} for side in (one, other)]
    assert sorted(map(sorted, sides)) == sorted([sorted(watched.urls(0, 1)), sorted(watched.urls(2, 3))])
    assert one.count("(round ") == other.count("(round ") == 1
    assert "firewalls and routes between their p2p ports" in finding["action"]
    assert " has not moved for " in finding["headline"]
    # One side alone knows who is missing, and not that they run.
    lonely = watched.wait_finding("quorum-missing", *watched.urls(0), says="weight of 2 of 4 take part")
    assert "nothing signed by it was heard for" in lonely["text"]
    watched.cluster.links.heal()
    watched.wait_well()


@pytest.mark.skipif(failing_disks.why_not() is not None, reason=str(failing_disks.why_not()))
def test_an_engine_that_takes_no_blocks_is_named_with_the_reason_and_goes_on_by_itself(
    watched: Watched,
) -> None:
    victim, disk = watched.cluster.nodes[VICTIM], Disk(watched.cluster)
    disk.hurt(write=errno.EIO)
    try:
        finding = watched.wait_finding(
            "engine-trouble", says=f"the execution engine of {victim.rpc.url} does not take blocks"
        )
    finally:
        disk.heal()
    assert "nput/output error" in finding["text"]
    assert "the node asks again by itself" in finding["action"]
    assert " moves: " in finding["headline"], "the three others go on"
    watched.wait_well()
    assert victim.is_running


def test_two_decided_blocks_halt_every_node_and_the_doctor_says_who_sealed_both(watched: Watched) -> None:
    """Three keys of four seal another block of a decided height. People agree on the first one, and do what the doctor says."""
    cluster = watched.cluster
    genesis = parse_genesis((cluster.path / "genesis.json").read_bytes())
    keys = [
        load_key(node.home / "validator.json", (node.home / "validator.password").read_text().strip())
        for node in cluster.nodes[:3]
    ]
    assert "ConflictingHeads" not in asyncio.run(look_twice(watched.urls())), "no alarm before the fork"
    decided = cluster.nodes[0].rpc.call("ibft_getCommitCertificate", hex(cluster.top() - 1))
    height, round_ = Height(int(decided["height"], 16)), Round(int(decided["round"], 16))
    digest = genesis.rules.domain.commit(height=height, round=round_, block_hash=FORGED)
    certificate = Certificate.of(
        height=height, round=round_, block_hash=FORGED, seals={key.address: key.sign(digest) for key in keys},
        validators=genesis.state.validators,
    )  # fmt: skip
    _, _, enodes = cluster._listens
    raw = wire.encode(Decision(certificate=certificate))
    say(
        genesis,
        parse_enode(enodes[0]),
        [raw],
        until=lambda: cluster.nodes[0].consensus()["halted"] is not None,
    )
    # Whoever has halted tells the others why.
    *most, last = watched.urls()
    finding = watched.wait_finding(
        "conflicting-certificates",
        says=f"two blocks are decided at height {height}, and {', '.join(most)} and {last} halted: a weight of ",
    )
    # Of the four three have sealed the forged block, and three or four the other one.
    assert finding["text"].split(": a weight of ")[1][:24] in {
        "2 of 4 has sealed both (",
        "3 of 4 has sealed both (",
    }
    assert "never signer.log" in finding["action"]
    assert "metanode node recover" in finding["action"]
    alarms = asyncio.run(look_twice(watched.urls()))
    forked = alarms["ConflictingHeads"]
    assert forked.severity is AlertSeverity.CRITICAL
    assert forked.text.startswith("two blocks are decided at one height, as ")
    assert all(url.removeprefix("http://") in forked.text for url in watched.urls()), forked.text
    assert f"two blocks are decided at height {height}" in alarms["NodeHalted"].text
    before = cluster.top()
    for node in cluster.nodes:
        node.signal(signal.SIGTERM)
    for node in cluster.nodes:
        assert node.wait_end(within_s=20.0) == 0
        result = CliRunner().invoke(app, ["node", "recover", "--yes", str(node.home)])
        assert result.exit_code == 0, result.output
        assert f"two blocks are decided at height {height}" in result.output
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        node.wait_answers()
    # The proofs against the liars stay.
    watched.lasting.add("evidence")
    watched.wait_well()
    # Moving may be said of a block of before: it was decided a moment ago.
    wait_until(lambda: cluster.top() > before, within_s=WELL_WITHIN_S, what="a block after the recovery")
