"""A simulated network as a scenario sees it: nodes to stop and start, links to cut, waits in virtual time.

cluster = Cluster(seed=7, validators=4)
async with cluster.running():
    await cluster.wait_height(10)
"""

import asyncio
import contextlib
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from metanode.chain.forks import Fork, Timeouts
from metanode.chain.genesis import Genesis, make_genesis_header
from metanode.chain.parameters import ChainRules, ConsensusParameters
from metanode.chain.quorum import QuorumRule
from metanode.chain.stakes import StakeSource
from metanode.chain.state import genesis_state
from metanode.chain.validators import Validator, ValidatorSet
from metanode.consensus.effects import Decided
from metanode.crypto.secp256k1 import PrivateKey
from metanode.execution.fake import fake_genesis
from metanode.primitives.types import Address, Height, Round
from metanode.simulation.disk import Disk
from metanode.simulation.invariants import Checker, InvariantBroken
from metanode.simulation.network import LinkFaults, SimulatedNetwork
from metanode.simulation.node import SimulatedNode
from metanode.simulation.powers import draw_alike

if TYPE_CHECKING:
    from metanode.simulation.schedule import Fault

GENESIS_TIME: Final = 1_700_000_000
GAS_LIMIT: Final = 30_000_000
TWIN_RECIPIENT: Final = Address(b"\x77" * 20)
"""Fee recipient of second instances."""
LOOK_S: Final = 0.25
"""Between two looks at every node, beside those at one to which something has happened."""


class Cluster:
    """One run of one scenario. Owner: the scenario's task."""

    def __init__(
        self,
        *,
        seed: int,
        validators: int = 4,
        rule: QuorumRule = QuorumRule.AUTHORITY,
        powers: Sequence[int] | None = None,
        followers: int = 0,
        candidates: int = 0,
        twins: int = 0,
        faults: LinkFaults | None = None,
        does_relay: bool = False,
        period_s: int = 2,
        timeouts: Timeouts | None = None,
        reward_gwei: int = 2_000_000_000,
        epoch_length: int = 30_000,
        stakes: Callable[[Sequence[Address]], StakeSource] | None = None,
    ) -> None:
        """Under the rule of stakes powers are `powers`, or drawn; who gives any is under that rule. `stakes` makes the contract that names the sets, from all addresses. `twins`: so many validators, from the first on, have a second instance with the same key, after all other nodes."""
        self.seed = seed
        self.random = random.Random(seed)
        self.period_s = period_s
        self.schedule: list[Fault] = []
        """What goes wrong in this run, where the scenario draws it beforehand."""
        keys = [_key(seed, index) for index in range(validators + candidates + followers)]
        others = range(validators + candidates, len(keys))
        keys += keys[:twins]
        if powers is not None:
            rule = QuorumRule.STAKE
        weights = powers or (draw_alike(seed, validators) if rule is QuorumRule.STAKE else [1] * validators)
        members = ValidatorSet.of(
            Validator(address=key.address, power=power) for key, power in zip(keys, weights, strict=False)
        )
        parameters = ConsensusParameters(
            network_name="simulation",
            genesis_time=GENESIS_TIME,
            validators=members,
            quorum_rule=rule,
            period_s=period_s,
            epoch_length=epoch_length,
            stakes=stakes([key.address for key in keys]) if stakes else None,
            reward_gwei=reward_gwei,
            forks=(Fork(time=0, gas_target=GAS_LIMIT, timeouts=timeouts or Timeouts()),),
        )
        execution = fake_genesis(timestamp=GENESIS_TIME, gas_limit=GAS_LIMIT)
        state = genesis_state(parameters, gas_limit=GAS_LIMIT)
        header = make_genesis_header(parameters, execution)
        self.rules = ChainRules(chain_id=1337, genesis_hash=header.hash, parameters=parameters)
        genesis = Genesis(
            network_name=parameters.network_name,
            chain_id=self.rules.chain_id,
            parameters=parameters,
            execution_header=execution,
            header=header,
            state=state,
            rules=self.rules,
            warnings=(),
        )
        self.checker = Checker(self.rules, state)
        self.network = SimulatedNetwork(
            seed=self.random, faults=faults or LinkFaults(), trace=self.checker, does_relay=does_relay
        )
        self.nodes = [
            SimulatedNode(
                index=index,
                key=key,
                is_validator=index not in others,
                rules=self.rules,
                disk=Disk(genesis, key.address),
                execution_genesis=execution,
                network=self.network,
                seed=self.random,
                upon_life=self._upon_life,
                upon_valid=self.checker.upon_valid,
                upon_head=self.checker.upon_head,
                upon_handled=self.checker.upon_handled,
            )
            for index, key in enumerate(keys)
        ]
        self.network.nodes = self.checker.nodes = self.nodes
        for node in self.nodes[len(keys) - twins :]:
            # Otherwise two instances that build on one parent would build one block.
            node.fee_recipient = TWIN_RECIPIENT
        self._tasks: asyncio.TaskGroup | None = None
        self._news = asyncio.Event()
        self._failure: Exception | None = None

    # --- time --------------------------------------------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """Virtual seconds since the genesis."""
        return asyncio.get_running_loop().time()

    @contextlib.asynccontextmanager
    async def running(self, *, start: Sequence[int] | None = None) -> AsyncIterator["Cluster"]:
        """Start the nodes, all or some; at the end check once more and stop everything."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._upon_exception)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            watch = tasks.create_task(self._watch(), name="watch")
            for index in range(len(self.nodes)) if start is None else start:
                self.start(index)
            yield self
            self._look()
            watch.cancel()
            for node in self.nodes:
                node.crash()

    async def wait_height(
        self, height: int, *, nodes: Sequence[int] | None = None, within_s: float = 120
    ) -> None:
        """Wait until these nodes, or all that run, show a height; raises InvariantBroken when they do not in time."""
        end_s = self.now_s + within_s
        while True:
            watched = [self.nodes[i] for i in nodes] if nodes is not None else self._running()
            if watched and all(n.is_running and n.driver.final_height >= height for n in watched):
                return
            if self.now_s >= end_s:
                heights = [n.driver.final_height if n.is_running else None for n in self.nodes]
                raise InvariantBroken(
                    f"height {height} is not reached in {within_s} s: nodes are at {heights}"
                )
            await self._wait_news(min(end_s - self.now_s, 1.0))

    async def wait_s(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)

    # --- faults ------------------------------------------------------------------------------------------------------------------------

    def start(self, index: int) -> None:
        """Start a node that is down, or that was killed and had a turn of the loop to end."""
        assert self._tasks is not None
        self.checker.note("start", index)
        self.nodes[index].start(self._tasks)

    def crash(self, index: int) -> None:
        """Kill a node."""
        self.checker.note("crash", index)
        self.nodes[index].crash()

    async def restart(self, index: int, *, after_s: float = 0.0) -> None:
        """Kill a node and start it again."""
        self.crash(index)
        await asyncio.sleep(after_s)
        # The killed tasks need a turn of the loop to end.
        while self.nodes[index].is_up:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0)
        self.start(index)

    def submit(self, raw: bytes) -> None:
        """Put a transaction into every running node's pool."""
        for node in self._running():
            node.engine.submit_local([raw])

    # --- facts -------------------------------------------------------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """The highest decided height."""
        return len(self.checker.blocks)

    def proposer(self, height: int, round_: int = 0) -> int:
        """Return the index of the node that proposes, at the height after the decided ones or before."""
        state = self.checker.state_before(Height(height))
        address = state.proposer(Round(round_), self.rules.quorum_rule)
        return next(node.index for node in self.nodes if node.address == address)

    @property
    def max_faulty(self) -> int:
        """How many of the nodes may fail, where powers are alike."""
        return self.rules.quorum_rule.faulty_max(len(self.rules.parameters.validators))

    def decided_at(self, height: int) -> float:
        """Return when the first node showed a height."""
        return min(at for (_, shown), at in self.checker.decided_at.items() if shown == height)

    def _running(self) -> list[SimulatedNode]:
        return [node for node in self.nodes if node.is_running]

    def _upon_life(self, node: SimulatedNode) -> None:
        self.checker.upon_life(node)

        def upon_decided(decided: Decided) -> None:
            self.checker.upon_decided(node, decided)
            self._news.set()

        node.driver.subscribe(upon_decided)

    async def _wait_news(self, within_s: float) -> None:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._look()

    def _look(self) -> None:
        if self._failure is not None:
            raise self._failure
        self.checker.check_all()

    def _upon_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Keep what a callback raised; the next look raises it again."""
        found = context.get("exception")
        if self._failure is None and isinstance(found, Exception):
            self._failure = found
        elif found is None:
            loop.default_exception_handler(context)


def _key(seed: int, index: int) -> PrivateKey:
    return PrivateKey(hashlib.sha256(f"simulated key {seed} {index}".encode()).digest())
