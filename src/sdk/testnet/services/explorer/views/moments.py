"""The numbers of the dashboard's charts: what the monitor remembers, as rows of the whole network and as lines of methods, nodes and validators."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from metanode.errors import InvalidInput
from sdk.testnet.monitoring.line_columns import BY_METHOD, CHARTS, OTHERS
from sdk.testnet.monitoring.public import PUBLIC_LINES
from sdk.testnet.services.web.formatting import natural_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

Column = list[float | None]
"""A number for each look, None where nobody knows."""

WINDOWS: Final = {"15 min": 900, "1 h": 3_600, "6 h": 21_600, "24 h": 86_400}
"""What the charts show, in seconds."""
UNTIL_MAX: Final = 2**32
"""Seconds since 1970: the year 2106."""
POINTS: Final = 400
"""Of one chart: a wide screen's pixels are twice that."""
LINES_MAX: Final = 6
"""Of one chart: as many as there are colours that everybody tells apart."""


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
class Line:
    """One line of a chart that has several."""

    chart: str
    name: str
    """Of a method, a node or a validator; empty for the worst of those without a line."""
    values: Column
    """One for each moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """What the monitor remembers of a window, oldest first."""

    window_s: int
    step_s: float
    """Usual time from one to the next."""
    items: tuple[Moment, ...]
    lines: tuple[Line, ...]


def window_of(request: Request) -> int:
    """Return the seconds of `?window=`; raises InvalidInput."""
    text = request.query_params.get("window", "3600")
    if text not in {str(window_s) for window_s in WINDOWS.values()}:
        raise InvalidInput(
            f"window: expected one of {', '.join(map(str, WINDOWS.values()))} seconds, found {text!r:.40}"
        )
    return int(text)


def until_of(request: Request) -> int | None:
    """Return the Unix time of `?until=`, where the charts end; None for now. Raises InvalidInput."""
    text = request.query_params.get("until")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < UNTIL_MAX):
        raise InvalidInput(f"until: expected seconds since 1970, found {text!r:.40}")
    return int(text)


class KeptMoments:
    """The charts' JSON, made by the first who asks after a look and given to the others until the next."""

    def __init__(self, monitor: Any, now_s: Callable[[], float] = time.time) -> None:
        self._monitor, self._now_s = monitor, now_s
        self._looks = -1
        self._kept: dict[tuple[int, bool, str | None], bytes] = {}
        """Of this look, by window, reader and the name of the validator that is chosen: four windows for each at most."""

    def read(
        self, window_s: int, until: int | None, *, is_operator: bool, validator: str | None = None
    ) -> bytes:
        """Return the document of a window that ends now, or at a Unix time; of nodes and validators only the lines of one, where it is chosen."""
        name = None if validator is None else self._name_of(validator)
        if until is not None:
            return self._made(window_s, float(until), is_operator=is_operator, name=name)
        if self._monitor.looks != self._looks:
            self._looks = self._monitor.looks
            self._kept.clear()
        key = (window_s, is_operator, name)
        if key not in self._kept:
            self._kept[key] = self._made(window_s, self._now_s(), is_operator=is_operator, name=name)
        return self._kept[key]

    def _made(self, window_s: int, until_s: float, *, is_operator: bool, name: str | None) -> bytes:
        lines = self._monitor.get_history_lines(window_s, until_s=until_s, points_max=POINTS)
        if not is_operator:
            lines = {chart: found for chart, found in lines.items() if chart in PUBLIC_LINES}
        if name is not None:
            own = {name} - {OTHERS}
            lines = {
                chart: found if chart in BY_METHOD else {line: found[line] for line in found if line in own}
                for chart, found in lines.items()
            }
        return orjson.dumps(
            read_moments(
                self._monitor.get_history(window_s, until_s=until_s, points_max=POINTS), window_s, lines
            )
        )

    def _name_of(self, validator: str) -> str:
        """What lines of a validator and of its node are called; empty of an address that no validator has."""
        for each in self._monitor.get_dashboard_data()["validators"]:
            if each["address"] == validator:
                return str(each["name"])
        return ""


def read_moments(
    history: Mapping[str, Column], window_s: int, lines: Mapping[str, Mapping[str, Column]]
) -> Moments:
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
    return Moments(
        window_s=window_s,
        step_s=round(step_s, 1) or 2.0,
        items=tuple(items),
        lines=tuple(line for chart, found in lines.items() for line in _lines(chart, found)),
    )


def _lines(chart: str, found: Mapping[str, Column]) -> list[Line]:
    """Those that fare worst by the mean of the window, in the order of their names; the rest as one line of its worst."""
    worse = CHARTS[chart]
    own = sorted(
        (name for name in found if name != OTHERS),
        key=lambda name: (_mean(found[name]), natural_key(name)),
        reverse=worse is max,
    )
    rest = own[LINES_MAX:] + [name for name in found if name == OTHERS]
    drawn = [
        Line(chart=chart, name=name, values=[_rounded(value) for value in found[name]])
        for name in sorted(own[:LINES_MAX], key=natural_key)
    ]
    if rest:
        drawn.append(Line(chart=chart, name=OTHERS, values=_worst([found[name] for name in rest], worse)))
    return drawn


def _worst(columns: list[Column], worse: Callable[..., float]) -> Column:
    return [
        _rounded(worse(known)) if (known := [value for value in row if value is not None]) else None
        for row in zip(*columns, strict=True)
    ]


def _mean(column: Column) -> float:
    known = [value for value in column if value is not None]
    return math.fsum(known) / len(known) if known else 0.0


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
