"""`metanode doctor` on real processes: each condition is caused, and the finding that names it with its cure has to come.

One network of four validators is hurt in one way after the other, and is well again after each. Clocks are set by a module that Python loads at
its start. Partitions, failing engines and forks are in tests/integration/test_doctor_faults.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from tests.acceptance.processes import NodeProcess, free_offset, free_ports, slowness, wait_until
from typer.testing import CliRunner

from metanode.chain.genesis import Genesis, parse_genesis
from metanode.cli.program import app
from metanode.consensus import wire
from metanode.consensus.evidence import verify_evidence
from metanode.consensus.messages import Prepare
from metanode.crypto.addresses import format_address
from metanode.crypto.keystore import load_key, save_key
from metanode.crypto.secp256k1 import PrivateKey
from metanode.p2p.enode import Enode, parse_enode
from metanode.p2p.network import Network, NetworkConfig
from metanode.p2p.ports import ForkId, OpeningMessages, Priority, Tip, Verdict
from metanode.p2p.rlpx.handshake import NodeKey
from metanode.primitives.types import ZERO_HASH, Hash32, Height, Round
from metanode.rpc.evidence import evidence_from_json
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from metanode.chain.signing import SigningDomain

pytestmark = pytest.mark.timeout(400)

WELL_WITHIN_S = 40.0
"""Until a node that was away is back, and its absence forgotten."""
SEEN_WITHIN_S = 30.0
"""A validator is called silent after 12 s, a height stalled after 8 s."""


class Doctored:
    """A network of processes without a supervisor, that the doctor takes for a local one."""

    def __init__(self, path: Path) -> None:
        self.directory = NetworkDirectory(path)
        self.plan = local.create_network(
            self.directory, replace(PRESETS["metanode-local"], port_offset=free_offset())
        )
        self.nodes = [
            NodeProcess(self.directory.node(node.name), rpc_port=node.rpc_port) for node in self.plan.nodes
        ]
        self.starting_answers: list[tuple[int, dict[str, Any]]] = []
        """Of the local network, while it started."""
        self.first_answers: list[tuple[int, dict[str, Any]]] = []
        """Of the local network and of one of its nodes, before anything was hurt."""

    @property
    def genesis(self) -> Genesis:
        return parse_genesis(self.directory.genesis_file.read_bytes())

    def key(self, index: int) -> PrivateKey:
        home = self.nodes[index].home
        return load_key(home / "validator.json", (home / "validator.password").read_text().strip())

    def address(self, index: int) -> str:
        return format_address(self.key(index).address)

    def start(self, *indices: int) -> None:
        for index in indices:
            self.nodes[index].start()
        for index in indices:
            process = self.nodes[index].process
            assert process is not None
            state = self.directory.state_file(self.plan.nodes[index].name)
            state.parent.mkdir(exist_ok=True)
            state.write_text(json.dumps({"pid": process.pid, "started_at": time.time(), "restarts": 0}))
            self.nodes[index].wait_ready()

    def stop(self, *indices: int) -> None:
        for index in indices:
            self.nodes[index].close()

    def signal(self, index: int, number: int) -> None:
        self.nodes[index].signal(number)

    def doctor(self, *urls: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the document; of the local network unless URLs are given."""
        arguments = urls or ("--directory", str(self.directory.path))
        return ask_doctor(*arguments)

    def url(self, index: int) -> str:
        return self.plan.nodes[index].rpc_url

    def wait_well(self) -> None:
        """Wait until the network moves and nothing is found but proofs of other tests, which stay for ever."""

        def is_well() -> bool:
            document = self.doctor()[1]
            serious = {found["code"] for found in document["findings"] if found["severity"] != "note"}
            return document["moving"] and serious <= {"evidence"}

        wait_until(is_well, within_s=WELL_WITHIN_S, what=lambda: f"health: {self.doctor()[1]}")

    def wait_finding(self, code: str, *urls: str, says: str = "") -> dict[str, Any]:
        """Wait until the doctor has this finding with this text in it."""

        def look() -> dict[str, Any] | None:
            exit_code, document = self.doctor(*urls)
            for finding in document["findings"]:
                if finding["code"] == code and says in finding["text"]:
                    assert exit_code == 1
                    return {**finding, "headline": document["headline"]}
            return None

        return wait_until(
            look, within_s=SEEN_WITHIN_S, what=lambda: f"{code} {says!r}: {self.doctor(*urls)[1]}"
        )


def ask_doctor(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doctored]:
    """The network that is hurt."""
    found = Doctored(tmp_path_factory.mktemp("network"))
    code, document = found.doctor()
    assert code == 1
    assert document["findings"][0]["code"] == "network-stopped"
    assert document["findings"][0]["action"] == f"metanode up --directory {found.directory.path}"
    found.start(0, 1, 2, 3)

    def has_started() -> bool:
        found.starting_answers.append(found.doctor())
        return str(found.starting_answers[-1][1]["headline"]).endswith("take part")

    wait_until(has_started, within_s=WELL_WITHIN_S, what=lambda: f"health: {found.doctor()[1]}")
    found.first_answers = [found.doctor(), found.doctor(found.url(2))]
    yield found
    found.stop(0, 1, 2, 3)


@pytest.fixture(autouse=True)
def _no_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@contextlib.contextmanager
def aside(*paths: Path) -> Iterator[None]:
    """Move files away, and put them back in place of what came there meanwhile."""
    for path in paths:
        path.rename(path.with_name(path.name + ".aside"))
    try:
        yield
    finally:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".aside").rename(path)


def test_a_healthy_network_is_called_so_with_exit_code_0(network: Doctored) -> None:
    for code, document in network.first_answers:
        assert (code, document["healthy"], document["moving"]) == (0, True, True)
        assert document["headline"].endswith("and all 4 validators take part")
        assert {found["severity"] for found in document["findings"]} <= {"note"}


def test_a_network_that_has_just_started_gives_nobody_anything_to_do(network: Doctored) -> None:
    """The last validator finds a chain that has blocks already, and listens for two heights."""
    for code, document in network.starting_answers:
        codes = {found["code"] for found in document["findings"] if found["severity"] != "note"}
        assert not codes & {"observing", "behind", "quorum-missing"}, document
        # A busy machine may hiccup; a start by itself is no reason for anybody to act.
        assert code == 0 or codes or not document["moving"], document


def test_a_suspended_validator_is_named_with_the_signal_that_wakes_it(network: Doctored) -> None:
    network.signal(3, signal.SIGSTOP)
    process = network.nodes[3].process
    assert process is not None
    finding = network.wait_finding("node-suspended", says="validator-4")
    assert finding["action"] == f"kill -CONT {process.pid}"
    assert " moves: " in finding["headline"]
    network.signal(3, signal.SIGCONT)
    network.wait_well()


def test_dead_validators_are_named_by_the_plan_and_by_what_one_node_hears(network: Doctored) -> None:
    """First one, then F + 1."""
    network.stop(3)
    finding = network.wait_finding("node-down", says="validator-4 does not run")
    assert finding["action"] == f"metanode up --directory {network.directory.path}"
    finding = network.wait_finding("validator-silent", network.url(0), says=network.address(3))
    assert "nothing signed by it was heard for" in finding["text"]
    assert " moves: " in finding["headline"]
    network.stop(2)
    finding = network.wait_finding(
        "quorum-missing",
        says="weight of 2 of 4 take part, and 3 are needed; missing: ",
    )
    assert "validator-3 (its process does not run)" in finding["text"]
    assert "validator-4 (its process does not run)" in finding["text"]
    assert finding["action"] == f"metanode up --directory {network.directory.path}"
    finding = network.wait_finding("quorum-missing", network.url(0), says=network.address(2))
    assert f"{network.address(3)} (nothing signed by it was heard for " in finding["text"]
    wait_until(
        lambda: " has not moved for " in network.doctor(network.url(0))[1]["headline"],
        within_s=SEEN_WITHIN_S,
        what="a headline that says for how long",
    )
    headline = network.doctor(network.url(0))[1]["headline"]
    assert "; round 1 ends when a quorum has come to it" in headline, headline
    network.start(2, 3)
    network.wait_well()


def test_another_genesis_is_found_at_the_node_and_by_those_that_refuse_it(network: Doctored) -> None:
    home = network.nodes[3].home
    network.stop(3)
    with aside(home / "data", home / "genesis.json"):
        document = json.loads((home / "genesis.json.aside").read_text())
        document["timestamp"] = hex(int(document["timestamp"], 16) - 2)
        (home / "genesis.json").write_text(json.dumps(document))
        network.start(3)
        finding = network.wait_finding("other-genesis", says="validator-4 runs another chain")
        assert "0x" + network.genesis.hash.hex() in finding["text"]
        assert "never signer.log" in finding["action"]
        finding = network.wait_finding(
            "other-genesis", network.url(0), says=f"{network.address(3)}, a validator, comes from"
        )
        assert "with another genesis" in finding["text"]
        network.stop(3)
    network.start(3)
    network.wait_well()


def test_a_wrong_key_is_found_with_the_one_that_is_missing(network: Doctored) -> None:
    home, right = network.nodes[3].home, network.address(3)
    wrong = PrivateKey(b"\x0d" * 32)
    network.stop(3)
    with aside(home / "validator.json", home / "data"):
        save_key(
            home / "validator.json", wrong, (home / "validator.password").read_text().strip(), scrypt_n=2
        )
        network.start(3)
        finding = network.wait_finding(
            "wrong-key", says=f"validator-4 holds the key of {format_address(wrong.address)}, which is not in"
        )
        finding = network.wait_finding("wrong-key", says=f"nobody signs for {right}, which is")
        assert f"validator.json and validator.password in {home}" in finding["action"]
        network.stop(3)
    network.start(3)
    network.wait_well()


def test_a_clock_that_is_30_s_off_is_named(network: Doctored, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "real, real_ns = time.time, time.time_ns\n"
        "time.time = lambda: real() + 30\n"
        "time.time_ns = lambda: real_ns() + 30 * 10**9\n"
    )
    network.stop(3)
    network.nodes[3].environment = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    network.start(3)
    finding = network.wait_finding(
        "clock-off", says="the clock of validator-4 is 30 s ahead of the other validators'"
    )
    assert "timedatectl" in finding["action"]
    assert finding["severity"] == "error"
    network.wait_finding(
        "clock-off", network.url(0), says=f"the clock of {network.address(3)} is 30 s ahead of"
    )
    network.stop(3)
    network.nodes[3].environment = {}
    network.start(3)
    network.wait_well()


def test_a_follower_that_reaches_nobody_is_called_behind(network: Doctored) -> None:
    plan = network.plan
    node = local.add_node(network.directory, "follower").plan
    home = network.directory.node(node.name)
    config = home / "config.toml"
    kept = [line for line in config.read_text().splitlines() if "enode://" not in line]
    config.write_text("\n".join(kept).replace("[p2p]", "[p2p]\ndiscovery = false") + "\n")
    network.plan = network.directory.load_plan()
    network.nodes.append(NodeProcess(home, rpc_port=node.rpc_port))
    network.start(4)
    finding = network.wait_finding("behind", says="follower-1 is ")
    assert finding["severity"] == "warning"
    network.stop(4)
    network.wait_finding("node-down", says="follower-1 does not run")
    network.nodes.pop()
    network.plan = plan
    network.directory.save_plan(plan)


class Foreign:
    """p2p's ChainView and handlers of a stranger who only talks."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis_hash, self.network_id, self.chain_id = genesis.hash, genesis.chain_id, genesis.chain_id
        self._genesis = genesis

    def tip(self) -> Tip:
        return Tip(height=Height(0), certificate_hash=ZERO_HASH)

    def fork_id(self) -> ForkId:
        ours = self._genesis.rules.fork_id(height=Height(0), timestamp=self._genesis.header.timestamp)
        return ForkId(hash=ours.hash, next=ours.next)

    def accepts_fork(self, _: ForkId) -> bool:
        return True

    def validators(self) -> frozenset[Any]:
        return frozenset()

    def upon_consensus_message(self, *_: object) -> Verdict:
        return Verdict.DROP

    def upon_certificate(self, *_: object) -> Verdict:
        return Verdict.DROP

    def upon_peer_ready(self, _: object) -> None: ...

    def upon_peer_gone(self, _: object) -> None: ...

    def opening_messages(self) -> OpeningMessages:
        return OpeningMessages()


def vote_twice(network: Doctored, index: int, key: PrivateKey, height: int) -> None:
    """Connect with a validator as a stranger, and push two prepares of one key for one place."""
    genesis = network.genesis
    enode = parse_enode(network.nodes[index].rpc.call("net_version") and enode_of(network, index))
    domain: SigningDomain = genesis.rules.domain

    def votes() -> Iterator[bytes]:
        for content in (b"\x01", b"\x02"):
            place = {"height": Height(height), "round": Round(0), "block_hash": Hash32(content * 32)}
            yield wire.encode(
                Prepare(**place, author=key.address, signature=key.sign(domain.prepare(**place)))
            )

    say(
        genesis,
        enode,
        list(votes()),
        until=lambda: bool(network.nodes[index].rpc.call("ibft_getEvidence")),
    )


def say(genesis: Genesis, enode: Enode, messages: list[bytes], *, until: Callable[[], bool]) -> None:
    """Connect with a node as a stranger, and push messages until it has understood."""
    chain = Foreign(genesis)

    async def talk() -> None:
        config = NetworkConfig(
            key=NodeKey(b"\x0e" * 32),
            client="test",
            listen_port=free_ports(1)[0],
            peers=(enode,),
            discovers=False,
        )
        stranger = Network(config, chain=chain, handlers=chain)  # type: ignore[arg-type] # what is asked of it
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(stranger.run())
            async with asyncio.timeout(20 * slowness()):
                while not stranger.peers():
                    await asyncio.sleep(0.05)
            for raw in messages:
                stranger.broadcast(raw, Priority.VOTE)
            async with asyncio.timeout(20 * slowness()):
                while not await asyncio.to_thread(until):
                    await asyncio.sleep(0.05)
            running.cancel()

    asyncio.run(talk())


def enode_of(network: Doctored, index: int) -> str:
    (line,) = [
        line
        for other in range(4)
        if other != index
        for line in (network.nodes[other].home / "config.toml").read_text().splitlines()
        if f':{network.plan.nodes[index].p2p_port}"' in line
    ][:1]
    return line.strip().strip('",')


def test_a_validator_that_votes_twice_is_accused_and_the_proof_holds_for_a_stranger(
    network: Doctored,
) -> None:
    """Another process uses the key of validator-3."""
    height = int(network.nodes[1].rpc.call("eth_blockNumber"), 16) + 3
    vote_twice(network, 1, network.key(2), height)
    finding = network.wait_finding(
        "evidence", says="validator-3 has signed two different messages in one place"
    )
    assert f"metanode validators remove {network.address(2)}" in finding["action"]
    shown = network.nodes[1].rpc.call("ibft_getEvidence")
    evidence, domain = evidence_from_json(
        next(entry for entry in shown if int(entry["height"], 16) == height)
    )
    validators = network.genesis.state.validators
    assert domain == network.genesis.rules.domain
    assert verify_evidence(evidence, domain=domain, validators=validators).value == "equivocation"
    assert evidence.author == network.key(2).address
    # It is on the disk.
    network.stop(1)
    network.start(1)
    assert any(int(entry["height"], 16) == height for entry in network.nodes[1].rpc.call("ibft_getEvidence"))
    # Its own node has heard it too, and signs nothing until it is started again.
    network.wait_finding(
        "key-shared",
        says=f"validator-3 signs nothing: another process was seen to sign with its key, {network.address(2)}",
    )
    network.stop(2)
    network.start(2)
    network.wait_well()


# --- what is no node of ours --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def another_client(request: bytes) -> bytes:
    refusal = {"code": -32601, "message": "the method does not exist/is not available"}
    return json.dumps(
        [
            {"jsonrpc": "2.0", "id": call["id"], "result": "Geth/v1.14.0"}
            if call["method"] == "web3_clientVersion"
            else {"jsonrpc": "2.0", "id": call["id"], "error": refusal}
            for call in json.loads(request)
        ]
    ).encode()


def test_what_is_no_node_of_ours_is_said_so() -> None:
    with serving(another_client) as url:
        code, document = ask_doctor(url)
        assert (code, document["findings"][0]["code"]) == (1, "other-client")
        assert "Geth/v1.14.0" in document["headline"]
    with serving(lambda _: b"<html>hello</html>") as url:
        assert ask_doctor(url)[1]["findings"][0]["code"] == "not-json-rpc"
    code, document = ask_doctor(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert (code, document["findings"][0]["code"]) == (1, "node-unreachable")


@pytest.mark.parametrize("url", ["localhost:8545", "ws://127.0.0.1:8545", "http://", "nonsense"])
def test_what_is_no_url_is_refused_in_a_sentence(url: str) -> None:
    result = CliRunner().invoke(app, ["doctor", url])
    assert result.exit_code == 1
    assert "expected the URL of a node's RPC" in str(result.exception)


def test_a_directory_without_a_network_says_how_to_start_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--directory", str(tmp_path)])
    assert result.exit_code == 1
    assert "start one with `metanode up`" in str(result.exception)
