"""Four validators as real `metanode node` processes that nobody restarts, a network between them that can be hurt, and somebody who listens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx
from eth_account import Account
from tests.acceptance.long_chain import write_network_chain
from tests.acceptance.processes import Endpoint, RPCError, free_ports, wait_until
from tests.integration.faults import leftovers, namespaces
from tests.integration.faults.links import NamespaceLinks, RelayedLinks
from tests.integration.faults.namespaces import BridgedNamespaces
from tests.integration.hostile.target import secrets_of

from metanode.crypto.keystore import load_key
from metanode.node.keys import load_node_key
from sdk.testnet.deployment.apply import local
from sdk.testnet.deployment.apply.accounts import funded_accounts
from sdk.testnet.deployment.apply.layout import NetworkDirectory
from sdk.testnet.deployment.plan import PRESETS
from sdk.testnet.ephemeral.links import NOBODY_LISTENS, Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.integration.faults.links import Links
    from tests.integration.faults.namespaces import Namespace

Kind = Literal["namespaces", "relay"]

VALIDATORS = 4
FAULTY_MAX = 1
"""F of four."""
QUORUM = 3
PERIOD_S = 2
ANSWER_TIMEOUT_S = 3.0
"""A node that is stopped or gone does not answer at all; one that lives answers in milliseconds."""
START_WITHIN_S = 60.0
BATCH_MAX = 100
"""Calls in one request that a node takes."""


@dataclass(frozen=True)
class Door(Endpoint):
    """A node's JSON-RPC, asked from inside its namespace where it has one."""

    space: Namespace | None = None
    client: httpx.Client = field(default_factory=lambda: httpx.Client(verify=False, timeout=ANSWER_TIMEOUT_S))  # noqa: S501 - plain HTTP on loopback

    def call(self, method: str, *params: Any) -> Any:
        """One call."""
        answer = self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        if "error" in answer:
            raise RPCError(answer["error"])
        return answer["result"]

    def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Many calls, in their order; an error in one is raised, and so is one instead of all."""
        found = []
        for begin in range(0, len(calls), BATCH_MAX):
            part = [
                {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
                for index, (method, params) in enumerate(calls[begin : begin + BATCH_MAX])
            ]
            answers = self._post(part)
            if isinstance(answers, dict):
                raise RPCError(answers["error"])
            for answer in sorted(answers, key=lambda each: each["id"]):
                if "error" in answer:
                    raise RPCError(answer["error"])
                found.append(answer["result"])
        return found

    def _post(self, body: Any) -> Any:
        def post() -> Any:
            # A node that is busy says so in plain text.
            return self.client.post(self.url, json=body).raise_for_status().json()

        return post() if self.space is None else self.space.do(post)


@dataclass
class Node:
    """One validator and its process."""

    index: int
    home: Path
    rpc: Door
    private: Door
    program: tuple[str, ...] = ("-m", "metanode")
    """What Python runs: the `metanode` command, or a file that is one with a lie in it."""
    command: tuple[str, ...] = ()
    """What stands before the command, to put it into its namespace."""
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    log_file: Path | None = None
    """Where the output goes; by default beside the data."""
    log_begins: int = 0
    """Where the output of this life begins."""
    log_files: set[Path] = field(default_factory=set)
    """Where the output of any life went."""
    halts: int = 0
    """Times that it was stopped or told to go on."""

    @property
    def name(self) -> str:
        """As operators see it."""
        return self.home.name

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.home / "data"

    @property
    def log(self) -> str:
        """What this life has printed."""
        return self._output.read_bytes()[self.log_begins :].decode(errors="replace")

    @property
    def _output(self) -> Path:
        return self.log_file or self.home / "test.log"

    def log_sizes(self) -> dict[Path, int]:
        """How much it has printed until now, in all its lives."""
        return {path: path.stat().st_size for path in self.log_files if path.exists()}

    def printed_since(self, sizes: Mapping[Path, int]) -> str:
        """What it has printed since then, in all its lives."""
        return "".join(
            path.read_bytes()[sizes.get(path, 0) :].decode(errors="replace")
            for path in sorted(self.log_files)
            if path.exists()
        )

    @property
    def port(self) -> int:
        """Of its JSON-RPC."""
        return int(self.rpc.url.rsplit(":", 1)[1])

    @property
    def is_halted(self) -> bool:
        """Whether the process stands still because it was told to."""
        return self.halts % 2 == 1

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self, *options: str, **environment: str) -> None:
        """Begin a life, with options of `metanode node` and more variables."""
        assert not self.is_running, f"{self.name} runs already"
        log = self._output
        self.log_files.add(log)
        self.log_begins = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*leftovers.DIES_WITH_US, *self.command, sys.executable, *self.program, "node", str(self.home), *options],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.home,
                env={**os.environ, **self.environment, **environment, "NO_COLOR": "1", "COLUMNS": "400"},
            )  # fmt: skip

    def height(self) -> int | None:
        """The newest final height; None while it does not answer."""
        if not self.is_running:
            return None
        try:
            return int(self.rpc.call("eth_blockNumber"), 16)
        except (httpx.HTTPError, ValueError, RPCError):
            return None

    def wait_answers(self, *, within_s: float = START_WITHIN_S) -> None:
        """Wait until it answers; say what it printed when it ends instead."""

        def answers() -> bool:
            assert self.is_running, f"{self.name} ended with {self.exit_code()}:\n{self.log[-3000:]}"
            return self.height() is not None

        wait_until(answers, within_s=within_s, what=lambda: f"{self.name} answers:\n{self.log[-3000:]}")

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        if number == (signal.SIGCONT if self.is_halted else signal.SIGSTOP):
            self.halts += 1
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and the body removed."""
        self.signal(signal.SIGKILL)
        self.wait_end(within_s=10.0)

    def wait_end(self, *, within_s: float) -> int:
        """Wait for the end of the process; its exit code."""
        assert self.process is not None
        return self.process.wait(timeout=within_s)

    def exit_code(self) -> int | None:
        """The last life's."""
        return None if self.process is None else self.process.poll()

    def consensus(self) -> dict[str, Any]:
        """`ibft_getConsensusState`."""
        found: dict[str, Any] = self.rpc.call("ibft_getConsensusState")
        return found


class Cluster:
    """The four, their network and the listener. Use it in `with`: nothing is left of it afterwards."""

    def __init__(
        self,
        path: Path,
        kind: Kind,
        *,
        disk_mib: Mapping[int, int] | None = None,
        environments: Mapping[int, dict[str, str]] | None = None,
        prepared_blocks: int = 0,
        liars: Mapping[int, Path] | None = None,
    ) -> None:
        """See `Group`, whose fields these are."""
        self.path = path
        self._prepared_blocks = prepared_blocks
        self.liars = dict(liars or {})
        self.kind = kind
        self.known: dict[int, str] = {}
        """Hash of every height that an audit has seen."""
        self.signed: dict[tuple[bytes, int, int, int], bytes] = {}
        """Digest of every place that an audit has found in a signer.log."""
        self.audited = 0
        """The height below which all nodes have been compared."""
        self._stack = contextlib.ExitStack()
        self._listener: subprocess.Popen[bytes] | None = None
        try:
            self._make(disk_mib or {}, environments or {})
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        """Start all, and wait until all take part."""
        try:
            self._listener = self._start_listener()
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.wait_answers()
            # A validator that comes to a chain which has a block already signs from the next height on: until then it is as good as dead.
            self.wait_height(self._prepared_blocks + 3, within_s=60.0)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, remove every namespace and mount."""
        for process in [self._listener, *(node.process for node in self.nodes)]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(timeout=10.0)
        for node in self.nodes:
            node.rpc.client.close()
            node.private.client.close()
        self._stack.close()

    # --- what tests ask and do ---

    @property
    def validators(self) -> list[str]:
        """The four addresses, in the order of the nodes."""
        return [
            "0x"
            + json.loads((node.home / "validator.json").read_text())["address"].lower().removeprefix("0x")
            for node in self.nodes
        ]

    @cached_property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show: keys and passwords of all four, as text."""
        return tuple(secret for node in self.nodes for secret in secrets_of(node.home))

    def running(self) -> list[Node]:
        """The nodes that live."""
        return [node for node in self.nodes if node.is_running]

    def top(self, nodes: Iterable[Node] | None = None) -> int:
        """The highest height among the nodes."""
        return max(node.height() or 0 for node in (self.nodes if nodes is None else nodes))

    def wait_height(self, height: int, *, within_s: float, nodes: Iterable[Node] | None = None) -> None:
        """Wait until the nodes, all by default, have the height."""
        for node in self.nodes if nodes is None else nodes:
            wait_until(
                lambda node=node: (node.height() or 0) >= height,
                within_s=within_s,
                what=lambda node=node: (
                    f"{node.name} has block {height}; it is at {node.height()}, exit code {node.exit_code()}:\n{node.log[-2000:]}"
                ),
            )

    def wait_settled(self, *, within_s: float = 90.0) -> None:
        """Wait until all four have a block above what any has now, and each validator's seal is on one since: all follow, and all take part.

        Who has lost signer.log follows and signs nothing for two heights: for so long it is one of the F that may fail.
        """
        first, looked, signed = self.top(), self.top(), set[str]()
        self.wait_height(first + 1, within_s=within_s)

        def have_all_signed() -> bool:
            nonlocal looked
            node = self.nodes[0]
            head = node.height() or 0
            for height in range(
                looked + 1, head
            ):  # The tip's certificate is this node's; the one before stands in a block.
                found = node.rpc.call("ibft_getCommitCertificate", hex(height))
                signed.update(str(seal["validator"]).lower() for seal in found["seals"])
                looked = height
            return signed >= {
                str(each).lower() for each in node.rpc.call("ibft_getValidatorsByBlockNumber", "latest")
            }

        wait_until(
            have_all_signed,
            within_s=within_s,
            what=lambda: (
                f"all validators have signed a block after {first}; those who have are {sorted(signed)}"
            ),
        )

    def listener_report(self) -> dict[str, Any]:
        """What the listener has heard."""
        assert self._listener is not None
        assert self._listener.poll() is None, (self.path / "listener.log").read_text()[-3000:]
        found: dict[str, Any] = json.loads((self.path / "heard.json").read_text())
        return found

    def pay(self, count: int, *, node: int = 0) -> list[str]:
        """Send transfers to new accounts, so that blocks and states have something in them; the hashes."""
        rpc, account = self.nodes[node].rpc, Account.from_key(funded_accounts()[3].private_key)
        first = int(rpc.call("eth_getTransactionCount", account.address, "pending"), 16)
        raws = [
            account.sign_transaction(
                {
                    "chainId": 1337, "nonce": nonce, "to": f"0x77{nonce:038d}", "value": 1, "gas": 21_000,
                    "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
                }
            ).raw_transaction.hex().removeprefix("0x")
            for nonce in range(first, first + count)
        ]  # fmt: skip
        return [str(found) for found in rpc.batch([("eth_sendRawTransaction", ["0x" + raw]) for raw in raws])]

    def intervals(self, first: int, last: int) -> float:
        """Mean seconds between the blocks of two heights."""
        node = max(self.running(), key=lambda each: each.height() or 0)
        begin, end = (int(node.rpc.block(height)["timestamp"], 16) for height in (first, last))
        return (end - begin) / (last - first)

    # --- making ---

    def _make(self, disk_mib: Mapping[int, int], environments: Mapping[int, dict[str, str]]) -> None:
        directory = NetworkDirectory(self.path)
        plan = local.create_network(directory, replace(PRESETS["metanode-local"], validator_count=VALIDATORS))
        homes = [directory.node(node.name) for node in plan.nodes]
        ids = [load_node_key(home / "nodekey").public_key.hex() for home in homes]
        self.links: Links
        if self.kind == "namespaces":
            self._in_namespaces(homes, ids)
        else:
            self._behind_relay(homes, ids)
        for index, size in disk_mib.items():
            self._mount(homes[index] / "data", size)
        for node in self.nodes:
            node.environment.update(environments.get(node.index, {}))
            if node.index in self.liars:
                node.program = (str(self.liars[node.index]),)
        if self._prepared_blocks:
            self._prepare(directory, homes)

    def _prepare(self, directory: NetworkDirectory, homes: Sequence[Path]) -> None:
        """Let the chain have begun long ago."""
        document = json.loads(directory.genesis_file.read_text())
        document["timestamp"] = hex(int(time.time()) - (self._prepared_blocks + 1) * PERIOD_S)
        for place in (directory.genesis_file, *(home / "genesis.json" for home in homes)):
            place.write_text(json.dumps(document))
        keys = [
            load_key(home / "validator.json", (home / "validator.password").read_text().strip())
            for home in homes
        ]
        write_network_chain(homes, keys, directory.genesis_file.read_bytes(), blocks=self._prepared_blocks)

    def _in_namespaces(self, homes: Sequence[Path], ids: Sequence[str]) -> None:
        spaces = BridgedNamespaces(VALIDATORS + 1)
        self._stack.callback(spaces.close)
        links = NamespaceLinks(spaces, VALIDATORS)
        self._stack.callback(links.close)
        self.links = links
        addresses = [f"{spaces.address(index)}:30303" for index in range(VALIDATORS + 1)]
        enodes = [f"enode://{identity}@{address}" for identity, address in zip(ids, addresses, strict=False)]
        self.nodes = []
        for index, (home, space) in enumerate(zip(homes, spaces.nodes, strict=False)):
            others = [enode for other, enode in enumerate(enodes) if other != index]
            _write_config(home, rpc=8545, private=18545, metrics=9100, listen=addresses[index], peers=others)
            self.nodes.append(
                Node(
                    index=index, home=home, command=space.command,
                    rpc=Door("http://127.0.0.1:8545", space), private=Door("http://127.0.0.1:18545", space),
                )
            )  # fmt: skip
        self._listens = (spaces.nodes[-1].command, addresses[-1], enodes)

    def _behind_relay(self, homes: Sequence[Path], ids: Sequence[str]) -> None:
        ports = [free_ports(4) for _ in homes]
        pairs = [(a, b) for a in range(VALIDATORS) for b in range(VALIDATORS) if a != b]
        doors = dict(zip(pairs, free_ports(len(pairs)), strict=True))
        links = RelayedLinks(
            [Link(caller=a, called=b, port=port, target_port=ports[b][3]) for (a, b), port in doors.items()]
        )
        self._stack.callback(links.close)
        self.links = links
        self.nodes = []
        for index, home in enumerate(homes):
            rpc, private, metrics, p2p = ports[index]
            others = [f"enode://{ids[b]}@127.0.0.1:{port}" for (a, b), port in doors.items() if a == index]
            _write_config(
                home, rpc=rpc, private=private, metrics=metrics, listen=f"127.0.0.1:{p2p}", peers=others,
                more=f'discovery = false\nadvertised_address = "{NOBODY_LISTENS}"\n',
            )  # fmt: skip
            self.nodes.append(
                Node(
                    index=index,
                    home=home,
                    rpc=Door(f"http://127.0.0.1:{rpc}"),
                    private=Door(f"http://127.0.0.1:{private}"),
                )
            )
        enodes = [
            f"enode://{identity}@127.0.0.1:{port[3]}" for identity, port in zip(ids, ports, strict=True)
        ]
        self._listens = ((), f"127.0.0.1:{free_ports(1)[0]}", enodes)

    def _mount(self, place: Path, size_mib: int) -> None:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        leftovers.run(
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={size_mib}m,mode=0700",
            leftovers.own_name("disk"),
            str(place),
        )
        self._stack.callback(leftovers.run, "umount", "--lazy", str(place))

    def _start_listener(self) -> subprocess.Popen[bytes]:
        command, address, enodes = self._listens
        arguments = [str(self.path / "genesis.json"), str(self.path / "heard.json"), address, *enodes]
        with (self.path / "listener.log").open("ab") as output:
            return subprocess.Popen(
                [*leftovers.DIES_WITH_US, *command, sys.executable, "-m", "tests.integration.faults.listener", *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip


def best_kind() -> Kind:
    """Namespaces where they are permitted."""
    return "namespaces" if namespaces.why_not() is None else "relay"


def _write_config(
    home: Path, *, rpc: int, private: int, metrics: int, listen: str, peers: Sequence[str], more: str = ""
) -> None:
    enodes = ", ".join(f'"{enode}"' for enode in peers)
    (home / "config.toml").write_text(
        f"[server]\nrpc_port = {rpc}\nprivate_port = {private}\nmetrics_port = {metrics}\n"
        f'[validator]\nenabled = true\nvalidator_key = "keystore:validator.json"\n'
        f'[p2p]\nlisten_address = "{listen}"\nbootstrap_nodes = [{enodes}]\n{more}'
    )


def timed(work: Callable[[], object]) -> float:
    """Seconds that something took."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
