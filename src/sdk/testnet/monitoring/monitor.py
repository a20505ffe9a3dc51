"""`TestnetMonitor`: how a network fares, from what its nodes answer or from what somebody feeds in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.monitoring import by_hand, screen
from sdk.testnet.monitoring.alerts.board import Alert, Board
from sdk.testnet.monitoring.alerts.catalogue import RUNBOOK
from sdk.testnet.monitoring.alerts.conditions import conditions, nodes_down
from sdk.testnet.monitoring.alerts.events import Chronicle, Totals
from sdk.testnet.monitoring.alerts.service_conditions import service_conditions
from sdk.testnet.monitoring.alerts.webhooks import WEBHOOKS_MAX, Receiver, Webhook
from sdk.testnet.monitoring.alerts.webhooks_file import parse_webhook
from sdk.testnet.monitoring.archive import Keeping, Look
from sdk.testnet.monitoring.callers import gateway_traffic
from sdk.testnet.monitoring.endpoints import Endpoint, endpoints_of, read_endpoints
from sdk.testnet.monitoring.health import NetworkMetrics, NodeHealth
from sdk.testnet.monitoring.history import History
from sdk.testnet.monitoring.line_values import line_values
from sdk.testnet.monitoring.memory import Memory
from sdk.testnet.monitoring.rendering.rules import rules
from sdk.testnet.monitoring.services import ServiceWatch
from sdk.testnet.monitoring.thresholds import NODE_CORES, NODE_MEMORY_BYTES, Thresholds
from sdk.testnet.monitoring.verdict import Judgement, judge
from sdk.testnet.monitoring.view import picture
from sdk.testnet.monitoring.watcher import Watcher
from sdk.testnet.own_task import in_own_task

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from sdk.testnet.deployment.plan import NetworkPlan
    from sdk.testnet.monitoring.alerts.conditions import Condition
    from sdk.testnet.monitoring.archive import Archive
    from sdk.testnet.monitoring.observation import Observation
    from sdk.testnet.monitoring.services import Source
    from sdk.testnet.monitoring.view import Picture

log = structlog.get_logger(__name__)

POLL_INTERVAL_S: Final = 2.0
"""The time between blocks of most networks."""
STALE_POLLED_S: Final = 8.0
"""Four looks without an answer. The page must be grey within ten seconds: stale green is the classic failure."""
STALE_BY_HAND_S: Final = 60.0
"""Who feeds by hand, or by a script, does it once a minute."""
NODES_MAX: Final = 1_000
"""Nodes that are fed in."""
HEADS_MAX: Final = 101
"""Heads of a hundred intervals."""
FIRST_LOOK_S: Final = 10.0
STOP_S: Final = 5.0
TOTALS_TIMEOUT_S: Final = 5.0


class TestnetMonitor:
    """Watches a network.

    `TestnetMonitor()` is fed by `update_node_health`; `TestnetMonitor(endpoints=[...])` looks at nodes every two seconds, from `start` to
    `stop`. Verdict, alerts and metrics are read at any time, and are as old as the last answer: an old one makes the verdict UNKNOWN.

    One event loop runs it, and calls everything.

    Args:
        endpoints: URLs of nodes' RPC, or `Endpoint`s that name the metrics page too.
        block_time_s: Time between blocks, for the limits of alerts; that of the nodes if they are asked.
        node_cores: Cores that a node may take.
        node_memory_bytes: Memory that a node may take: `memory_usage` of a node that is polled is a percentage of it.
        webhooks: Who is told of alerts; a text is a line as a file of receivers has it: an address, and perhaps slack and info before it.
        runbook: Where the guide of alerts is served.
        poll_interval_s: From one look to the next.
        stale_after_s: Without an answer for longer the verdict is UNKNOWN.
        services: By name the metrics pages of the faucet and the index, for the alerts about them: an address, or a call of this process that
            gives the page. Read every ten seconds.
        totals: Asked for counts of the whole chain now and then, if somebody indexes it.
        archive: Where looks outlive this process: charts of the last day go on after a restart; in memory only without it.

    Raises:
        InvalidInput: when an argument is out of its range; the sentence names it.
    """

    __test__ = False  # pytest collects no tests here

    def __init__(
        self,
        endpoints: Iterable[Endpoint | str] = (),
        *,
        block_time_s: float = 2.0,
        node_cores: float = NODE_CORES,
        node_memory_bytes: int = NODE_MEMORY_BYTES,
        webhooks: Iterable[Webhook | str] = (),
        runbook: str = RUNBOOK,
        poll_interval_s: float = POLL_INTERVAL_S,
        stale_after_s: float | None = None,
        services: Mapping[str, Source] | None = None,
        totals: Callable[[], Awaitable[Totals]] | None = None,
        archive: Archive | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        if not 0.1 <= poll_interval_s <= 60:
            raise InvalidInput(f"poll_interval_s: found {poll_interval_s!r}; expected 0.1 to 60 seconds")
        self.endpoints = read_endpoints(endpoints)
        default_s = STALE_POLLED_S if self.endpoints else STALE_BY_HAND_S
        self.stale_after_s = default_s if stale_after_s is None else stale_after_s
        self.limits = Thresholds(
            block_time_s=block_time_s, node_cores=node_cores, node_memory_bytes=node_memory_bytes
        )
        self.poll_interval_s = poll_interval_s
        self.receivers = tuple(
            Receiver(parse_webhook(webhook, f"webhooks[{place}]") if isinstance(webhook, str) else webhook)
            for place, webhook in enumerate(webhooks)
        )
        if len(self.receivers) > WEBHOOKS_MAX:
            raise InvalidInput(f"webhooks: found {len(self.receivers)}; expected at most {WEBHOOKS_MAX}")
        self.nodes: dict[str, NodeHealth] = {}
        """By name what is known of each node."""
        self._totals = totals
        self._monotonic_s, self._now_s = monotonic_s, now_s
        self._watcher = Watcher(self.endpoints, monotonic_s=monotonic_s)
        self._services = ServiceWatch(services or {}, monotonic_s=monotonic_s)
        self._memory = Memory()
        self._history = History()
        self._keeping = None if archive is None else Keeping(archive)
        self._chronicle = Chronicle()
        self._board = (
            Board({(rule.name, rule.severity): rule.for_s for rule in rules(self.limits)}, runbook=runbook)
            if self.endpoints
            else Board({}, runbook=runbook, gone_after_s=0.0)
        )
        self._picture: Picture | None = None
        self._counts = Totals()
        self._updated_s: float | None = None
        self._heads: deque[tuple[int, float]] = deque(maxlen=HEADS_MAX)
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of_plan(cls, plan: NetworkPlan, **options: Any) -> Self:
        """A monitor of a planned network, as it is reached from this machine."""
        return cls(endpoints_of(plan), block_time_s=plan.spec.block_time_s, **options)

    def __repr__(self) -> str:
        what = (
            f"{len(self.endpoints)} endpoints" if self.endpoints else f"{len(self.nodes)} nodes fed by hand"
        )
        return f"<TestnetMonitor of {what}: {self.verdict.verdict.value}>"

    # -- running -------------------------------------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether it looks, or at least could."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Begin to look, and return after the first look (at most ten seconds); does nothing when it runs."""
        if self.running:
            return
        self._looked.clear()
        self._task = asyncio.get_running_loop().create_task(self.run(), name="monitor")
        if self.endpoints:
            looked = asyncio.ensure_future(self._looked.wait())  # noqa: TID251 - raced with the task, cancelled below
            try:
                await asyncio.wait(
                    {looked, self._task}, timeout=FIRST_LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                looked.cancel()
            if self._task.done():
                # It ends by cancellation only: what it says is why.
                self._task.result()

    async def stop(self) -> None:
        """Look no more; what was seen stays, and grows old."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        # A look ends at once; who waits for more than this has another problem.
        await asyncio.wait([task], timeout=STOP_S)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def run(self) -> None:
        """Look and tell until cancelled: what `start` runs, for whoever has a task group of its own."""
        async with asyncio.TaskGroup() as tasks:
            for receiver in self.receivers:
                tasks.create_task(receiver.run(), name=f"webhook {receiver.webhook.host}")
            if self._totals is not None:
                tasks.create_task(self._count(), name="monitor counts")
            if self._services:
                tasks.create_task(self._services.run(), name="monitor services")
            if self._keeping is not None:
                tasks.create_task(self._keeping.run(), name="monitor archive")
            tasks.create_task(self._watch(), name="monitor looks")

    async def _watch(self) -> None:
        if self._keeping is not None and not self._history.count:
            # Before the first look: rows are in the order of time.
            self._history = await self._keeping.recall()
        while True:
            began_s = self._monotonic_s()
            try:
                if self.endpoints:
                    await in_own_task(self.look(), name="monitor look")
                else:
                    self._judge_by_hand()
            except Exception:
                # A fault of ours must not end the watch; meanwhile the verdict grows old, and grey.
                log.exception("monitor_look_failed")
            self._looked.set()
            await asyncio.sleep(max(0.0, self.poll_interval_s - (self._monotonic_s() - began_s)))

    async def look(self) -> None:
        """Look once at every node."""
        self._take_in(await self._watcher.look())

    async def _count(self) -> None:
        """Ask for the counts of the whole chain now and then: beside the looks, which a slow index would make old."""
        assert self._totals is not None
        while True:
            try:
                async with asyncio.timeout(TOTALS_TIMEOUT_S):
                    self._counts = await self._totals()
            except (TimeoutError, Unavailable) as error:
                log.warning("monitor_totals_unknown", reason=str(error) or type(error).__name__)
            except Exception:
                # A fault of ours costs these counts, and not the watch.
                log.exception("monitor_totals_failed")
            await asyncio.sleep(self.poll_interval_s)

    # -- what is seen --------------------------------------------------------------------------------------------------------------------

    def update_node_health(self, health: NodeHealth) -> None:
        """Take in what somebody saw of a node.

        Raises:
            InvalidInput: for a thousand-and-first node, or what is no NodeHealth.
        """
        if not isinstance(health, NodeHealth):
            raise InvalidInput(f"health: found {type(health).__name__}; expected a NodeHealth")
        if health.node_id not in self.nodes and len(self.nodes) >= NODES_MAX:
            raise InvalidInput(
                f"node_id: found {health.node_id!r}, node {NODES_MAX + 1}; expected at most {NODES_MAX}"
            )
        self.nodes[health.node_id] = health
        if not self.endpoints:
            self._updated_s = self._monotonic_s()
            if not self._heads or health.last_block_height > self._heads[-1][0]:
                self._heads.append((health.last_block_height, health.last_block_time))
            self._judge_by_hand()

    def get_node_health(self, node_id: str) -> NodeHealth | None:
        """The last that is known of a node; None for one that nobody has seen."""
        return self.nodes.get(node_id)

    def _judge_by_hand(self) -> None:
        now, at_s = self._now_s(), self._monotonic_s()
        healths = list(self.nodes.values())
        view = by_hand.view_of(healths, now)
        if view is not None:
            self._tell(
                self._board.update(by_hand.conditions_of(healths, view, self.limits), at_s=at_s, now=now)
            )

    def _take_in(self, observation: Observation) -> None:
        now = self._now_s()
        seen = picture(observation, self._memory)
        if seen is None:
            found = nodes_down(observation.facts.nodes, ())
            self._tell(
                self._board.update(
                    [*found, *self._of_services(now)], at_s=observation.at_s, now=now, is_blind=True
                )
            )
        else:
            self._picture, self._updated_s = seen, observation.at_s
            if seen.reference.period_s != self.limits.block_time_s:
                self.limits = replace(self.limits, block_time_s=seen.reference.period_s)
            for receiver in self.receivers:
                receiver.network = seen.reference.network
            found = conditions(seen, self.limits)
            told = self._board.update([*found, *self._of_services(now)], at_s=observation.at_s, now=now)
            happened = [
                self._board.happened(event, now=now) for event in self._chronicle.events(seen, self._counts)
            ]
            self._tell([*told, *happened])
        if seen is None:
            self._add(Look(now, {}))
        else:
            self._add(Look(now, screen.row(seen), line_values(seen, screen.cpu_percents(self._memory))))
        for health in screen.healths(observation, self._memory, now, self.limits):
            self.nodes[health.node_id] = health

    def _add(self, look: Look) -> None:
        self._history.append(look.at, look.values, look.lines)
        if self._keeping is not None:
            self._keeping.add(look)

    def _of_services(self, now: float) -> list[Condition]:
        """What holds of services; nothing before a node has said which network theirs is."""
        if self._picture is None:
            return []
        return service_conditions(self._services.found, network=self._picture.reference.network, now=now)

    def _tell(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            state = "resolved" if alert.resolved_at is not None else alert.severity.value
            log.info("alert", name=alert.name, subject=alert.subject, state=state, text=alert.text)
        for receiver in self.receivers:
            receiver.tell(alerts)

    # -- what is told --------------------------------------------------------------------------------------------------------------------

    @property
    def verdict(self) -> Judgement:
        """One word for the whole network, with its reason, at this moment."""
        if self.endpoints:
            view = None if self._picture is None else self._picture.view
            return judge(
                view, data_age_s=self.data_age_s or 0.0, stale_after_s=self.stale_after_s, limits=self.limits
            )
        view = by_hand.view_of(list(self.nodes.values()), self._now_s())
        age_s = self.data_age_s or 0.0
        # How old the head is, is counted from its own time.
        data_age_s = age_s if age_s > self.stale_after_s else 0.0
        return judge(view, data_age_s=data_age_s, stale_after_s=self.stale_after_s, limits=self.limits)

    @property
    def data_age_s(self) -> float | None:
        """Seconds since a node has answered, or somebody has fed; None before."""
        return None if self._updated_s is None else self._monotonic_s() - self._updated_s

    @property
    def head(self) -> int | None:
        """The newest block that was seen; None before."""
        if self._picture is not None:
            return self._picture.view.height
        return self._heads[-1][0] if self._heads else None

    @property
    def alerts(self) -> list[Alert]:
        """What fires now, the gravest first."""
        if not self.endpoints:
            self._judge_by_hand()
        return self._board.active

    @property
    def events(self) -> list[Alert]:
        """The feed: alerts that began and ended, and what has happened; the newest first."""
        return list(reversed(self._board.feed))

    def calculate_network_metrics(self) -> NetworkMetrics:
        """The network in eight numbers."""
        healths = list(self.nodes.values())
        if self._picture is not None:
            return screen.metrics(self._picture, healths, self._counts)
        validators = [health for health in healths if health.is_validator]
        intervals = 0.0
        if len(self._heads) > 1:
            (low, began), (high, ended) = self._heads[0], self._heads[-1]
            intervals = max(0.0, (ended - began) / (high - low))
        return NetworkMetrics(
            total_nodes=len(healths),
            healthy_nodes=sum(health.is_healthy for health in healths),
            total_validators=len(validators),
            active_validators=sum(health.is_healthy for health in validators),
            current_height=max((health.last_block_height for health in healths), default=0),
            avg_block_time=intervals,
            total_transactions=0,
            tps=0.0,
        )

    @property
    def looks(self) -> int:
        """How often it has looked: its history is the same until it has done so again."""
        return self._history.count

    def get_history(
        self, window_s: float = 3600.0, *, until_s: float | None = None, points_max: int = 600
    ) -> dict[str, list[float | None]]:
        """Columns of the looks of a window that ends now, or at a Unix time; at most a day back. Raises InvalidInput.

        `at` is Unix time; a number is None where nobody answered.
        """
        end_s = self._now_s() if until_s is None else until_s
        return self._history.read(since=end_s - window_s, until=end_s, points_max=points_max)

    def get_history_lines(
        self, window_s: float = 3600.0, *, until_s: float | None = None, points_max: int = 600
    ) -> dict[str, dict[str, list[float | None]]]:
        """Columns with a line for each method, node or validator, by chart and name; of the same looks when `until_s` is the same."""
        end_s = self._now_s() if until_s is None else until_s
        return self._history.read_lines(since=end_s - window_s, until=end_s, points_max=points_max)

    def get_validators(self) -> list[dict[str, Any]]:
        """Each validator as `get_dashboard_data` has it; none while what is known is old."""
        age_s = self.data_age_s
        if self._picture is None or age_s is None or age_s > self.stale_after_s:
            return []
        return screen.validators(self._picture)

    def get_dashboard_data(self) -> dict[str, Any]:
        """Everything that a page shows, as JSON has it. `verdict.state` is UNKNOWN when the rest is old."""
        judgement = self.verdict
        age_s = self.data_age_s
        data: dict[str, Any] = {
            "generated_at": self._now_s(),
            "data_age_s": None if age_s is None else round(age_s, 1),
            "verdict": {
                "state": judgement.verdict.value,
                "sentence": judgement.sentence,
                "public_sentence": judgement.public_sentence,
            },
            "metrics": self.calculate_network_metrics().to_dict(),
            "nodes": [health.to_dict() for health in self.nodes.values()],
            "alerts": [alert.to_dict() for alert in self.alerts],
            "events": [alert.to_dict() for alert in self.events[: screen.EVENTS_MAX]],
            "validators": [],
            "blocks": [],
            "consensus": None,
            "round_trips": None,
            "traffic": None,
        }
        if self._picture is not None:
            data |= screen.details(self._picture)
            data["traffic"]["gateway"] = gateway_traffic(self._services.found.pages.values())
        data["incident_summary"] = screen.incident_summary(data)
        return data
