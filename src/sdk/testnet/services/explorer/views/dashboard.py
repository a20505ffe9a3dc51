"""The dashboard: is the chain making blocks now, can it lose more, who is different, what to do next; for everybody, and with the inside for operators.

Everything on it is what the monitor saw of the nodes a moment ago. When the monitor's data are old the verdict is UNKNOWN and grey: stale green is the
classic failure. What would help somebody to attack a node (versions, clocks, free disk, round trips, what the doctor says) is behind the operator's login.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.monitoring.public import public_data
from sdk.testnet.services.explorer.reading import AsOf
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.queries.statistics import StatisticsRow, Totals, series, totals
from sdk.testnet.services.web.formatting import natural_key

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from starlette.requests import Request

    from sdk.testnet.services.explorer.faucet_standing import FaucetStanding
    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler

STRIP_BLOCKS: Final = 120
EVENTS_SHOWN: Final = 30
METHODS_SHOWN: Final = 12
DAYS_SHOWN: Final = 7
DAY_S: Final = 86_400
TONES: Final = {
    "HEALTHY": ("ok", "check"),
    "STARTING": ("pending", "clock"),
    "SLOW": ("warn", "clock"),
    "DEGRADED": ("warn", "warn"),
    "NO QUORUM": ("crit", "warn"),
    "HALTED": ("crit", "cross"),
    "UNKNOWN": ("unknown", "dash"),
}
"""Colour and icon of each verdict; the word is always there too."""
PARTS: Final = ("verdict", "alerts", "tiles", "strip", "validators", "events", "traffic")
"""Live parts that everybody sees; each has a template of its own."""
OPERATOR_PARTS: Final = (*PARTS, "doctor", "summary")
TOPIC: Final = "dashboard"
OPERATOR_TOPIC: Final = "operator"
"""The live parts of who is logged in."""
WINDOWS: Final = {"15 min": 900, "1 h": 3_600, "6 h": 21_600, "24 h": 86_400}
"""What the charts show, in seconds."""
POINTS: Final = 400
"""Of one chart: a wide screen's pixels are twice that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The users of one day of UTC."""

    start: int
    transactions: int
    active_accounts: int
    """Distinct senders."""
    new_accounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """Who uses the network, from the index."""

    addresses: int
    """Unique, since the first block."""
    transactions: int
    days: tuple[Day, ...]
    """The newest first; today is not over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """What the page shows."""

    as_of: AsOf
    data: dict[str, Any]
    """`TestnetMonitor.get_dashboard_data()`, without the inside unless somebody is logged in."""
    use: Use | None
    """None while the index does not answer."""
    has_faucet: bool = False
    faucet: FaucetStanding | None = None
    """None while it does not answer."""
    is_operator: bool = False

    @property
    def tone(self) -> str:
        """Colour of the verdict."""
        return TONES.get(self.data["verdict"]["state"], TONES["UNKNOWN"])[0]

    @property
    def mark(self) -> str:
        """Icon of the verdict."""
        return TONES.get(self.data["verdict"]["state"], TONES["UNKNOWN"])[1]

    @property
    def is_stale(self) -> bool:
        """Whether the numbers below the verdict are old."""
        return bool(self.data["verdict"]["state"] == "UNKNOWN")

    @property
    def head_age_s(self) -> float:
        """Since the newest block, at this moment as the verdict has it: the look itself is some seconds old."""
        return float(self.data["consensus"]["head_age_s"] + (self.data["data_age_s"] or 0.0))

    @property
    def strip(self) -> list[dict[str, Any]]:
        """The newest blocks, oldest first, each with how late it came."""
        # The first block is as old as the genesis file says; nothing is late against it.
        blocks = [block for block in self.data["blocks"][-STRIP_BLOCKS:] if block["number"] > 0]
        period = (self.data["consensus"] or {}).get("block_time_s") or 0
        return [
            block
            | {
                "late_s": 0
                if index == 0
                else max(0, block["timestamp"] - blocks[index - 1]["timestamp"] - period)
            }
            for index, block in enumerate(blocks)
        ]

    @property
    def busiest_methods(self) -> list[tuple[str, int]]:
        """JSON-RPC methods by calls since the nodes started."""
        calls = (self.data["traffic"] or {}).get("rpc_calls") or {}
        ordered = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
        return [(str(name)[:60], int(count)) for name, count in ordered[:METHODS_SHOWN] if count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The numbers of one look; None where nobody answered."""

    start: float
    """Seconds since 1970."""
    block_interval_s: float | None
    head_age_s: float | None
    round: float | None
    validators_online: float | None
    tps: float | None
    gas_percent: float | None
    pool_pending: float | None
    rpc_calls_per_s: float | None
    """Since the look before."""
    websocket_connections: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What the monitor remembers of a window, oldest first."""

    window_s: int
    step_s: float
    """Usual time from one to the next."""
    items: tuple[Moment, ...]


def dashboard_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path; none without a monitor."""

    async def dashboard(request: Request) -> View:
        model = await read_dashboard(parts)
        return View(template="dashboard.html", model=model, section="dashboard", extra=extras(request, parts))

    return {} if parts.monitor is None else {"/dashboard": dashboard}


def extras(request: Request, parts: ExplorerParts) -> dict[str, Any]:
    """Return what the page needs beside its model; raises InvalidInput for a window that is none."""
    return {
        "topic": TOPIC,
        "windows": WINDOWS,
        "window_s": window_of(request),
        "form_token": "",
        "has_operator": parts.has_operator,
        "events_shown": EVENTS_SHOWN,
    }


async def read_dashboard(parts: ExplorerParts, *, is_operator: bool = False) -> Dashboard:
    """Return the model: the same for all readers at one moment. An index that does not answer is a tile that says so."""
    use: Use | None = None
    try:
        as_of = await parts.reading.now()
        if as_of.block >= 0:
            today = as_of.indexed_at // DAY_S * DAY_S
            use = await parts.reading.look(lambda connection: _read_use(connection, today))
    except Unavailable:
        as_of = AsOf(block=-1, indexed_at=0, chain_head=await parts.reading.chain_head())
    faucet = await parts.faucet.now()
    data = parts.monitor.get_dashboard_data()
    data["validators"] = sorted(data["validators"], key=lambda each: natural_key(str(each["name"])))
    return Dashboard(
        as_of=as_of,
        data=data if is_operator else public_data(data),
        use=use,
        has_faucet=parts.faucet.ask is not None,
        faucet=faucet,
        is_operator=is_operator,
    )


def window_of(request: Request) -> int:
    """Return the seconds of `?window=`; raises InvalidInput."""
    text = request.query_params.get("window", "3600")
    if text not in {str(window_s) for window_s in WINDOWS.values()}:
        raise InvalidInput(
            f"window: expected one of {', '.join(map(str, WINDOWS.values()))} seconds, found {text!r:.40}"
        )
    return int(text)


def read_moments(history: dict[str, list[float | None]], window_s: int) -> Moments:
    """Return the monitor's columns as rows, with calls as a rate: counters of nodes begin anew when a node does."""
    times = [at or 0.0 for at in history["at"]]
    calls = history["rpc_calls"]
    items = []
    for place, start in enumerate(times):
        before, now = (calls[place - 1] if place else None), calls[place]
        passed_s = start - times[place - 1] if place else 0.0
        rate = (
            (now - before) / passed_s
            if before is not None and now is not None and passed_s > 0 and now >= before
            else None
        )
        gas = history["gas_used_ratio"][place]
        items.append(
            Moment(
                start=round(start, 1),
                block_interval_s=history["block_interval_s"][place],
                head_age_s=_rounded(history["head_age_s"][place]),
                round=history["round"][place],
                validators_online=history["validators_online"][place],
                tps=_rounded(history["tps"][place]),
                gas_percent=None if gas is None else _rounded(100 * gas),
                pool_pending=history["pool_pending"][place],
                rpc_calls_per_s=_rounded(rate),
                websocket_connections=history["websocket_connections"][place],
            )
        )
    step_s = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 2.0
    return Moments(window_s=window_s, step_s=round(step_s, 1) or 2.0, items=tuple(items))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _read_use(connection: Connection, today: int) -> Use:
    counted: Totals = totals(connection)
    days: tuple[StatisticsRow, ...] = series(connection, "day", today - (DAYS_SHOWN - 1) * DAY_S, today)
    return Use(
        addresses=counted.accounts,
        transactions=counted.transactions,
        days=tuple(
            Day(
                start=row.start,
                transactions=row.transaction_count,
                active_accounts=row.active_account_count,
                new_accounts=row.new_account_count,
            )
            for row in reversed(days)
        ),
    )
