"""The dashboard: is the chain making blocks now, can it lose more, who is different, what to do next; for everybody, and with the inside for operators.

Everything on it is what the monitor saw of the nodes a moment ago. When the monitor's data are old the verdict is UNKNOWN and grey: stale green is the
classic failure. What would help somebody to attack a node (versions, clocks, free disk, round trips, what the doctor says) is behind the operator's login.
A validator may be chosen, and is marked then (`choice`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import Unavailable
from sdk.testnet.monitoring.public import public_data
from sdk.testnet.services.explorer.reading import AsOf
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.explorer.views.choice import (
    NOTHING,
    PARTS_IN_BLOCKS,
    Choice,
    choice_of,
    others_among,
    owners_of,
)
from sdk.testnet.services.explorer.views.moments import WINDOWS, until_of, window_of
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
VALIDATORS_SHOWN: Final = 18
"""Rows of the table: with 120 blocks and a table of round trips what a page's 60 kB hold. `/validators` has them all."""
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
OPERATOR_PARTS: Final = (*PARTS, "doctor", "round_trips", "summary")
TOPIC: Final = "dashboard"
OPERATOR_TOPIC: Final = "operator"
"""The live parts of who is logged in."""
ROUND_TRIP_STEPS_MS: Final = (50, 150, 400)
"""Where the table of round trips changes its colour: within a continent, across an ocean, around the world; slower is a fault of some line."""


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

    def strip_of(self, choice: Choice) -> list[dict[str, Any]]:
        """The newest blocks, each with its `part` for the validator that is chosen: a class, and words for the title."""
        letters = self.in_blocks.get(choice.address, "")
        blocks = self.strip
        return [
            block | {"part": PARTS_IN_BLOCKS.get(letter, ("", ""))}
            for block, letter in zip(blocks, letters.rjust(len(blocks)), strict=True)
        ]

    @property
    def in_blocks(self) -> dict[str, str]:
        """By validator's address a letter for each block of the strip, the oldest first."""
        length = len(self.strip)
        return {
            each["address"]: each["in_blocks"][-length:] if length else "" for each in self.data["validators"]
        }

    @property
    def owners(self) -> dict[str, str]:
        """By the subject of an alert the name of the validator that it is about; empty of another node, nothing of what is of all."""
        return owners_of(self.data["validators"], self.data["nodes"])

    def others_among(self, alerts: list[dict[str, Any]], choice: Choice) -> int:
        """How many of these alerts are of other validators and nodes than the one that is chosen."""
        return len(others_among(alerts, self.owners, choice))

    def events_of(self, choice: Choice) -> list[dict[str, Any]]:
        """The newest events, of the validator that is chosen."""
        events: list[dict[str, Any]] = self.data["events"]
        owners = self.owners
        return [each for each in events if not choice.address or owners.get(each["subject"]) == choice.name][
            :EVENTS_SHOWN
        ]

    @property
    def validators(self) -> list[dict[str, Any]]:
        """Those that the table has room for, in the order of their names: the ones that somebody has to look at come before the others."""
        members: list[dict[str, Any]] = self.data["validators"]
        shown = sorted(
            members, key=lambda each: (each["state"] == "online", -(each["behind"] or 0), -each["missed_30m"])
        )[:VALIDATORS_SHOWN]
        return sorted(shown, key=lambda each: natural_key(str(each["name"])))

    def validators_of(self, choice: Choice) -> list[dict[str, Any]]:
        """The same; the one that is chosen stands before them, where it is none of them."""
        shown = self.validators
        members: list[dict[str, Any]] = self.data["validators"]
        chosen = [each for each in members if each["address"] == choice.address and each not in shown]
        return chosen + shown

    @property
    def round_trips(self) -> dict[str, Any] | None:
        """Who measures what to whom, by name, in ms with how bad that is, 0 to 3; None where no node tells, or it is no matter of the reader."""
        found: dict[str, Any] | None = self.data.get("round_trips")
        if not found:
            return None
        names = found["to"]
        order = sorted(range(len(names)), key=lambda place: natural_key(names[place]))
        rows = [
            {
                "from": row["from"],
                "cells": [(row["ms"][place], _step_of(row["ms"][place])) for place in order],
            }
            for row in sorted(found["rows"], key=lambda row: natural_key(row["from"]))
        ]
        return found | {"to": [names[place] for place in order], "rows": rows}

    @property
    def busiest_methods(self) -> list[tuple[str, int, int]]:
        """JSON-RPC methods with their calls at nodes and at the gateway since these started; what people ask most at the gateway, where there is one."""
        traffic = self.data["traffic"] or {}
        calls = traffic.get("rpc_calls") or {}
        at_gateway = (traffic.get("gateway") or {}).get("rpc_calls") or {}
        counted = [
            (str(name)[:60], int(calls.get(name, 0)), int(at_gateway.get(name, 0)))
            for name in {*calls, *at_gateway}
        ]
        ordered = sorted(counted, key=lambda each: (-each[2], -each[1], each[0]))
        return [each for each in ordered if any(each[1:])][:METHODS_SHOWN]


def dashboard_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path; none without a monitor."""

    async def dashboard(request: Request) -> View:
        model = await read_dashboard(parts)
        extra = extras(request, parts, model)
        return View(template="dashboard.html", model=model, section="dashboard", extra=extra)

    return {} if parts.monitor is None else {"/dashboard": dashboard}


def extras(request: Request, parts: ExplorerParts, model: Dashboard) -> dict[str, Any]:
    """Return what the page needs beside its model; raises InvalidInput for a window or an end of it that is none."""
    window_s, until = window_of(request), until_of(request)
    return {
        "topic": TOPIC,
        "windows": WINDOWS,
        "window_s": window_s,
        "until": until,
        "form_token": "",
        "has_operator": parts.has_operator,
        "choice": choice_of(request.query_params.get("validator", ""), model.data["validators"]),
        "kept": "".join(
            f"{name}={value}&"
            for name, value in (("window", window_s), ("until", until))
            if name in request.query_params
        ),
    }


def live_context(model: Dashboard) -> dict[str, Any]:
    """Return what live parts are rendered with: the same for everybody, whomever each has chosen."""
    return {"model": model, "choice": NOTHING, "kept": ""}


def live_facts(model: Dashboard) -> dict[str, Any]:
    """Return what is told beside the live parts, for the module that marks them: who did what for the blocks of the strip."""
    strip = model.strip
    return {"newest": strip[-1]["number"] if strip else None, "in_blocks": model.in_blocks}


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


def row_context(parts: ExplorerParts, address: str, *, is_operator: bool) -> dict[str, Any] | None:
    """Return what the row of one validator is rendered with, as who has chosen it sees it; None of an address that no validator has."""
    data = parts.monitor.get_dashboard_data()
    data = data if is_operator else public_data(data)
    choice = choice_of(address, data["validators"])
    if not choice.address:
        return None
    as_of = AsOf(block=-1, indexed_at=0, chain_head=None)
    model = Dashboard(as_of=as_of, data=data, use=None, is_operator=is_operator)
    found = next(each for each in data["validators"] if each["address"] == choice.address)
    return live_context(model) | {"choice": choice, "v": found}


def _step_of(round_trip_ms: int | None) -> int | None:
    return None if round_trip_ms is None else sum(round_trip_ms >= step for step in ROUND_TRIP_STEPS_MS)


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
