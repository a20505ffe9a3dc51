"""What the monitor sees, how the network is used, and the way to the faucet."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from metanode.errors import Unavailable
from sdk.testnet.monitoring.public import public_alert
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.parts import Given
from sdk.testnet.services.queries import statistics
from sdk.testnet.services.web.problems import NotFound

router = APIRouter(responses=parts.PROBLEMS)

EVENTS_MAX: Final = 100
"""Incidents of one answer."""
_THERE: Final[dict[int | str, dict[str, Any]]] = {
    307: {"description": "The faucet's own API, which takes the same."}
}


def _monitor(api: parts.Parts) -> parts.Monitor:
    if api.monitor is None:
        raise Unavailable("nobody watches the nodes from here")
    return api.monitor


@router.get("/nodes", tags=["network"])
async def list_nodes(api: Given) -> d.Nodes:
    """The nodes that are watched, by name: what they do, never where they are."""
    data = _monitor(api).get_dashboard_data()
    return d.Nodes(
        verdict=data["verdict"]["state"],
        sentence=data["verdict"]["public_sentence"],
        items=[
            d.NodeState(
                name=one["node_id"],
                status=one["status"],
                role=one["role"],
                block=one["last_block_height"],
                sync_status=one["sync_status"],
                peers=one["peer_count"],
            )
            for one in data["nodes"]
        ],
    )


@router.get("/alerts", tags=["network"])
async def list_alerts(api: Given) -> d.Alerts:
    """What fires now, the gravest first; of what is about the inside of a node, the name without its words."""
    return d.Alerts(items=[_alert(one) for one in _monitor(api).alerts])


def firing(monitor: parts.Monitor) -> list[dict[str, Any]]:
    """Return what fires now, as `/alerts` has it."""
    return [_alert(one).model_dump() for one in monitor.alerts]


@router.get("/incidents", tags=["network"])
async def list_incidents(api: Given) -> d.Alerts:
    """What has fired and what has happened, the newest first; at most 100, with words as alerts have them."""
    return d.Alerts(items=[_alert(one) for one in list(_monitor(api).events)[:EVENTS_MAX]])


def _alert(alert: parts.Alert) -> d.AlertState:
    found = public_alert(alert.to_dict())
    resolved_at = found["resolved_at"]
    return d.AlertState(
        name=found["name"],
        subject=found["subject"],
        severity=found["severity"],
        text=found["text"],
        impact=found["impact"],
        runbook_url=found["runbook_url"],
        since=answers.time_of(int(found["since"])),
        resolved_at=None if resolved_at is None else answers.time_of(int(resolved_at)),
    )


@router.get("/stats/activity", tags=["statistics"])
def get_activity(
    api: Given, days: Annotated[int, Query(ge=1, le=366, description="How many days.")] = 30
) -> d.UserActivity:
    """Unique addresses, and by day (UTC) active and new ones and transactions."""
    with api.store.look() as connection:
        status = parts.known_status(connection)
        found = statistics.activity(connection, days=days)
    return d.UserActivity(
        unique_addresses=found.unique_addresses,
        transactions=found.transactions,
        items=[
            d.ActivityPoint(
                start=day.start,
                time=answers.time_of(day.start),
                active_addresses=day.active_addresses,
                new_addresses=day.new_addresses,
                transactions=day.transactions,
                is_over=day.is_over,
            )
            for day in found.days
        ],
        as_of=answers.as_of(status),
    )


@router.get("/stats/rpc", tags=["statistics"])
async def get_calls(api: Given) -> d.Calls:
    """JSON-RPC calls by method, as the watched nodes and the gateways count them since they were started."""
    traffic = _monitor(api).get_dashboard_data()["traffic"]
    if traffic is None:
        raise Unavailable("no node has told its numbers yet; nodes without metrics tell none")
    gateway = traffic["gateway"]
    return d.Calls(
        **_counted(traffic), gateway=None if gateway is None else d.GatewayCalls(**_counted(gateway))
    )


def _counted(traffic: dict[str, Any]) -> dict[str, Any]:
    calls = {method: int(count) for method, count in traffic["rpc_calls"].items()}
    return {
        "total": sum(calls.values()),
        "by_method": calls,
        "websocket_connections": int(traffic["websocket_connections"]),
    }


def _faucet(api: parts.Parts, request: Request, rest: str) -> Response:
    """Lead to the faucet's own API, with the same query; by 307 the method and the body stay as they are."""
    if not api.config.faucet_url:
        raise NotFound("this network has no faucet")
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{api.config.faucet_url}/api/v1/faucet{quote(rest)}{query}", 307)


@router.get("/faucet", tags=["faucet"], status_code=307, response_class=Response, responses=_THERE)
async def get_faucet(api: Given, request: Request) -> Response:
    """What the faucet gives, its rules and its difficulty."""
    return _faucet(api, request, "")


@router.get(
    "/faucet/eligibility", tags=["faucet"], status_code=307, response_class=Response, responses=_THERE
)
async def faucet_eligibility(api: Given, request: Request) -> Response:
    """Whether an address may have coins now."""
    return _faucet(api, request, "/eligibility")


@router.get("/faucet/payouts", tags=["faucet"], status_code=307, response_class=Response, responses=_THERE)
async def faucet_payouts(api: Given, request: Request) -> Response:
    """What was paid lately."""
    return _faucet(api, request, "/payouts")


@router.get(
    "/faucet/claims/{claim}", tags=["faucet"], status_code=307, response_class=Response, responses=_THERE
)
async def faucet_claim(api: Given, request: Request, claim: str) -> Response:
    """How a claim stands."""
    return _faucet(api, request, f"/claims/{claim}")


@router.post(
    "/faucet/challenges", tags=["faucet"], status_code=307, response_class=Response, responses=_THERE
)
async def faucet_challenge(api: Given, request: Request) -> Response:
    """A proof of work to solve for a claim."""
    return _faucet(api, request, "/challenges")


@router.post("/faucet/claims", tags=["faucet"], status_code=307, response_class=Response, responses=_THERE)
async def faucet_claims(api: Given, request: Request) -> Response:
    """Claim coins."""
    return _faucet(api, request, "/claims")
