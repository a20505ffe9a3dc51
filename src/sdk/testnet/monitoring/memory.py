"""What the monitor remembers from one look to the next: bounded, and of its own process only."""

from __future__ import annotations

import itertools
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sdk.testnet.monitoring import thresholds
from sdk.testnet.monitoring.distributions import Distribution
from sdk.testnet.monitoring.growth import Counters, Growth
from sdk.testnet.monitoring.lateness import Lateness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.monitoring.observation import Block, Observation
    from sdk.testnet.monitoring.page import MetricsPage

BLOCKS_MAX: Final = 1_800
"""An hour of blocks every two seconds: what charts without Prometheus show."""
WINDOW_S: Final = 300.0
"""What "lately" means for intervals."""
TURNS_WINDOW_S: Final = 1_800.0
DURATIONS_WINDOW_S: Final = 120.0
"""Of percentiles, as the alert of a stalled event loop has it."""
RESTARTS_WINDOW_S: Final = 600.0
MARKS_EVERY_S: Final = 10.0
MARKS_MAX: Final = 190
"""Half an hour of marks."""
INTERNAL_ERROR: Final = "-32603"
"""What a node answers when the fault is its own."""
RESTARTS_MAX: Final = 20
"""Of one node; a node that restarts more often in ten minutes is told by the first three."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Counters of the pages at one moment."""

    at_s: float
    nodes: frozenset[str]
    missed: Counters
    proposed: Counters
    late: Counters
    """Commits that came when their height was decided already."""
    pool_full: Counters
    forged: Counters
    """Consensus messages whose signature was wrong."""
    cpu_s: Counters
    calls: Counters
    faults: Counters
    """Calls that ended with an internal error."""


@dataclass(slots=True)
class Memory:
    """The past of a network as one monitor has seen it."""

    blocks: deque[Block] = field(default_factory=lambda: deque(maxlen=BLOCKS_MAX))
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MARKS_MAX))
    restarts: dict[str, deque[float]] = field(default_factory=dict)
    """By node, when it was seen to have been started anew."""
    head: int = -1
    head_at_s: float = 0.0
    """Since when this has been the newest block of all that answer."""
    lateness: Lateness = field(default_factory=Lateness)
    genesis_hash: str | None = None
    calls: Distribution = field(
        default_factory=lambda: Distribution(
            "metanode_rpc_request_duration_seconds", "method", DURATIONS_WINDOW_S
        )
    )
    """How long calls took, by method."""
    loop_lags: Distribution = field(
        default_factory=lambda: Distribution("metanode_event_loop_lag_seconds", None, DURATIONS_WINDOW_S)
    )
    """How late event loops ran, by node."""
    cheap_calls: Distribution = field(
        default_factory=lambda: Distribution(
            "metanode_rpc_request_duration_seconds", None, WINDOW_S, counts_in=_is_cheap
        )
    )
    """How long calls took that are quick by their nature, by node."""
    executing: Distribution = field(default_factory=lambda: _processing("execute"))
    """How long the engine took to execute blocks, by node."""
    state_roots: Distribution = field(default_factory=lambda: _processing("state_root"))
    """How long it took to compute their state's root, by node."""
    _up_s: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By node how long it had been up, and when."""
    _growths: dict[tuple[str, float], Growth] = field(default_factory=dict)
    """By the kind of counters and the window: as many as this program asks for."""

    def remember(self, observation: Observation, head: int, genesis_hash: str) -> None:
        """Take in what was seen."""
        if genesis_hash != self.genesis_hash:
            self.genesis_hash = genesis_hash
            self.blocks.clear()
            self.marks.clear()
            self._growths.clear()
            self.head = -1
            self.lateness = Lateness()
        if head != self.head:
            self.head, self.head_at_s = head, observation.at_s
        for block in observation.blocks:
            if not self.blocks or block.number > self.blocks[-1].number:
                self.blocks.append(block)
        self._remember_restarts(observation)
        for distribution in (
            self.calls,
            self.loop_lags,
            self.cheap_calls,
            self.executing,
            self.state_roots,
        ):
            distribution.take(observation.at_s, observation.pages)
        if not self.marks or observation.at_s - self.marks[-1].at_s >= MARKS_EVERY_S:
            self.marks.append(_mark(observation))

    def _remember_restarts(self, observation: Observation) -> None:
        for node in observation.facts.nodes:
            if node.consensus is None:
                continue
            up_s = node.consensus.up_s
            before = self._up_s.get(node.name)
            if before is not None and up_s < before[0]:
                self.restarts.setdefault(node.name, deque(maxlen=RESTARTS_MAX)).append(observation.at_s)
            self._up_s[node.name] = (up_s, observation.at_s)

    def restarts_of(self, name: str, now_s: float, window_s: float = RESTARTS_WINDOW_S) -> int:
        """How often a node was started in the window."""
        return sum(now_s - at_s <= window_s for at_s in self.restarts.get(name, ()))

    def lately(self, now_timestamp: float, window_s: float = WINDOW_S) -> list[Block]:
        """Blocks whose timestamps are in the window before a moment of the chain's own time."""
        return [block for block in self.blocks if block.timestamp > now_timestamp - window_s]

    def increase(self, name: str, window_s: float) -> Mapping[tuple[str, str], float]:
        """How much counters have grown in the window, each on its own node; one that has fallen began anew."""
        return self._growth(name, window_s).follow(self.marks)

    def most_increased(self, name: str, window_s: float) -> dict[str, float]:
        """The same by what is counted, as the node says that has counted most: all count the same things."""
        return _most(self.increase(name, window_s))

    def most_increased_alone(self, name: str, window_s: float) -> dict[str, float]:
        """Of that what one has grown while, from one mark to the next, no other did."""
        growth = self._growth(name, window_s)
        growth.follow(self.marks)
        return _most(growth.alone())

    def _growth(self, name: str, window_s: float) -> Growth:
        found = self._growths.get((name, window_s))
        if found is None:
            found = self._growths[name, window_s] = Growth(name, window_s)
        return found

    def cores_used(self, window_s: float) -> dict[str, float]:
        """By node how many cores its process took on average in the window."""
        if not self.marks:
            return {}
        last = self.marks[-1].at_s
        # The first mark in the window counts from the one before it.
        begun = [
            before.at_s for before, after in itertools.pairwise(self.marks) if after.at_s >= last - window_s
        ]
        span_s = last - begun[0] if begun else 0.0
        return {
            node: seconds / span_s
            for (node, _), seconds in self.increase("cpu_s", window_s).items()
            if span_s > 0
        }


def _most(counted: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """By what is counted the highest of all nodes."""
    found: dict[str, float] = {}
    for (_, what), value in counted.items():
        found[what] = max(found.get(what, 0.0), value)
    return found


def _is_cheap(labels: Mapping[str, str]) -> bool:
    return re.fullmatch(thresholds.EXPENSIVE, labels.get("method", "")) is None


def _processing(phase: str) -> Distribution:
    return Distribution(
        "metanode_block_processing_duration_seconds",
        None,
        WINDOW_S,
        counts_in=lambda labels: labels.get("phase") == phase,
    )


def _mark(observation: Observation) -> Mark:
    pages = observation.pages

    def by_validator(name: str) -> Counters:
        return {
            (node, validator.lower()): value
            for node, page in pages.items()
            for validator, value in page.by(name, "validator").items()
        }

    def plain(name: str, **labels: str) -> Counters:
        return {
            (node, ""): value
            for node, page in pages.items()
            if (value := page.value(name, **labels)) is not None
        }

    return Mark(
        at_s=observation.at_s,
        nodes=frozenset(pages),
        missed=by_validator("metanode_consensus_proposals_missed_total"),
        proposed=by_validator("metanode_consensus_proposals_total"),
        late=by_validator("metanode_consensus_late_commits_total"),
        pool_full=plain("metanode_txpool_rejected_total", reason="pool_full"),
        forged=plain("metanode_consensus_messages_rejected_total", reason="bad_signature"),
        cpu_s=plain("process_cpu_seconds_total"),
        calls=plain("metanode_rpc_requests_total"),
        faults=plain("metanode_rpc_errors_total", code=INTERNAL_ERROR),
    )


def transactions_of(pages: dict[str, MetricsPage]) -> int:
    """Transactions of the chain as far as the node that has run longest has counted them."""
    return int(
        max((page.value("metanode_chain_transactions_total") or 0 for page in pages.values()), default=0)
    )
