"""The network as a whole: what it is, whether it moves, sums, search."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from metanode import __version__
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.answering import OWN
from sdk.testnet.services.api.configuration import VERSION
from sdk.testnet.services.api.parts import Given
from sdk.testnet.services.explorer.abi import common
from sdk.testnet.services.queries import contracts, search, statistics
from sdk.testnet.services.told import told_height, told_object, told_quantity
from sdk.testnet.services.web.problems import NotFound

router = APIRouter(responses=parts.PROBLEMS)

LATE_PERIODS: Final = 3
STALLED_PERIODS: Final = 10
"""Block times without a block after which the network is late, and stands."""
LAG_BLOCKS_MAX: Final = 2
"""An index further behind than this is told, whatever the network does."""
USUAL_BLOCK_TIME_S: Final = 2


async def block_time_of(api: parts.Parts) -> int:
    """Return the time between blocks: as configured, else as a node says; the usual one while none has answered."""
    if not api.block_time_s:
        with contextlib.suppress(Unavailable, JSONRPCError):
            state = told_object(await api.node.call("ibft_getConsensusState"))
            api.block_time_s = max(1, told_height(state.get("period")))
    return api.block_time_s or USUAL_BLOCK_TIME_S


@router.get("/network", tags=["network"])
async def get_network(api: Given) -> d.Network:
    """What this network is, and where to find it."""

    def look() -> statistics.IndexStatus | None:
        with api.store.look() as connection:
            return statistics.index_status(connection)

    status = await asyncio.to_thread(look)
    config = api.config
    return d.Network(
        name=config.network_name,
        chain_id=config.chain_id,
        genesis_hash=answers.hex_of(status.genesis_hash) if status else None,
        currency_symbol=config.currency_symbol,
        block_time_s=await block_time_of(api),
        rpc_url=config.rpc_url,
        ws_url=config.websocket_url,
        explorer_url=config.explorer_url,
        faucet_url=config.faucet_url,
        api_url=f"{config.public_url}/api/v1",
        reset_policy=config.reset_policy,
        versions=d.Versions(api=VERSION, software=f"metanode/{__version__}"),
    )


@router.get("/network/status", tags=["network"])
async def network_status(api: Given) -> d.NetworkStatus:
    """Whether blocks come, as a node says, and whether the index follows."""

    def look() -> statistics.IndexStatus | None:
        with api.store.look() as connection:
            return statistics.index_status(connection)

    indexed = await asyncio.to_thread(look)
    head = age = None
    try:
        block = told_object(await api.node.call("eth_getBlockByNumber", "latest", False))
        head, decided_at = told_height(block.get("number")), told_height(block.get("timestamp"))
        age = max(0, int(time.time()) - decided_at)
    except (Unavailable, JSONRPCError):
        pass
    number = None if indexed is None else indexed.number
    lag = None if head is None else max(0, head - (-1 if number is None else number))
    verdict, reasons = judge(age, lag, await block_time_of(api))
    return d.NetworkStatus(
        verdict=verdict, reasons=reasons, head=head, indexed=number, lag_blocks=lag, seconds_since_block=age
    )


def judge(age_s: int | None, lag_blocks: int | None, block_time_s: int) -> tuple[str, list[str]]:
    """Return how the network is, and why, by the age of a node's newest block (None: no node answers) and how far the index is behind it."""
    if age_s is None:
        return "unknown", ["no node answers"]
    reasons = []
    verdict = "ok"
    if age_s > LATE_PERIODS * block_time_s:
        verdict = "stalled" if age_s > STALLED_PERIODS * block_time_s else "late"
        reasons.append(f"the newest block is {age_s} s old, and one is due every {block_time_s} s")
    if lag_blocks is not None and lag_blocks > LAG_BLOCKS_MAX:
        verdict = "index behind" if verdict == "ok" else verdict
        reasons.append(f"the index is {lag_blocks} blocks behind")
    return verdict, reasons


@router.get("/network/chainlist", tags=["network"])
def chainlist(api: Given) -> d.Chainlist:
    """What wallet_addEthereumChain takes (EIP-3085)."""
    config = api.config
    return d.Chainlist(
        chainId=hex(config.chain_id),
        chainName=config.network_name,
        nativeCurrency={"name": config.currency_symbol, "symbol": config.currency_symbol, "decimals": 18},
        rpcUrls=[config.rpc_url] if config.rpc_url else [],
        blockExplorerUrls=[config.explorer_url] if config.explorer_url else [],
    )


@router.get("/gas", tags=["network"])
async def get_gas(api: Given) -> d.Gas:
    """What a transaction has to pay now."""
    base = told_quantity(await api.node.call("eth_baseFee"))
    tip = told_quantity(await api.node.call("eth_maxPriorityFeePerGas"))
    return d.Gas(base_fee_wei=str(base), tip_wei=str(tip), gas_price_wei=str(base + tip))


@router.get("/stats", tags=["statistics"])
def get_totals(api: Given) -> d.Totals:
    """Counts over the whole chain."""
    with api.store.look() as connection:
        sums = statistics.totals(connection)
        return d.Totals(
            **{name: getattr(sums, name) for name in sums.__dataclass_fields__},
            as_of=answers.as_of(parts.known_status(connection)),
        )


@router.get("/stats/series", tags=["statistics"])
def get_series(
    api: Given,
    interval: Annotated[Literal["hour", "day"], Query()] = "hour",
    from_time: Annotated[
        int | None, Query(alias="from", ge=0, le=2**40, description="Seconds since 1970.")
    ] = None,
    to_time: Annotated[int | None, Query(alias="to", ge=0, le=2**40)] = None,
) -> d.Series:
    """Sums by hours or days, oldest first; of the last 48 or 90 without `from`. At most 1,000."""
    with api.store.look() as connection:
        status = parts.known_status(connection)
        last = status.indexed_at if to_time is None else to_time
        span = 48 * 3_600 if interval == "hour" else 90 * 86_400
        first = max(0, last - span) if from_time is None else from_time
        if first > last:
            raise InvalidInput(f"from: found {first}, which is after to, {last}")
        rows = statistics.series(connection, interval, first, last)
        return d.Series(
            interval=interval, items=[answers.point(row) for row in rows], as_of=answers.as_of(status)
        )


@router.get("/search", tags=["search"])
def get_search(api: Given, q: Annotated[str, Query(min_length=1, max_length=200)]) -> d.Results:
    """What a text may mean: a number, a hash, an address or its beginning, a name."""
    with api.store.look() as connection:
        return d.Results(
            items=[
                d.Result(kind=one.kind, key=one.key, title=one.title, is_exact=one.is_exact)
                for one in search.search(connection, q)
            ]
        )


@router.get("/signatures/{selector}", tags=["search"])
def get_signatures(
    api: Given, selector: Annotated[str, Path(pattern=r"^0x([0-9a-fA-F]{8}|[0-9a-fA-F]{64})$")]
) -> d.Signatures:
    """What a function's or an error's selector or an event's topic may mean: by verified contracts of this network, and by what is common on others."""
    wanted = bytes.fromhex(selector[2:])
    with api.store.look() as connection:
        rows = contracts.find_signatures(connection, wanted)
    bundled = common()
    usual = (*bundled.functions(wanted), *bundled.errors(wanted), *bundled.events(wanted))
    known = {entry.signature: "common" for entry in usual} | {row.text: row.source for row in rows}
    return d.Signatures(
        items=[
            d.Signature(selector=selector.lower(), text=text, source=source)
            for text, source in sorted(known.items())
        ]
    )


@router.get("/me", tags=["network"])
def get_me(request: Request, response: Response) -> d.Me:
    """Who asks, and what is left of the minute."""
    response.headers["cache-control"] = OWN
    used = request.state.allowance
    key = used.owner
    last_used = used.last_used_at
    return d.Me(
        key=used.key,
        limit=used.limit,
        remaining=max(0, used.limit - used.used),
        reset_s=used.left_s,
        scopes=sorted(key.scopes) if key else [],
        expires_at=None if key is None or key.expires_at is None else answers.time_of(key.expires_at),
        last_used_at=None if last_used is None else answers.time_of(last_used),
    )


_EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": (
            "Server-sent events, each with its topic as `event`, an `id` and one line of JSON as `data`. `block`: a block, as `/blocks` has it. "
            "`tx`: of a block with transactions `block` (its number), `total` and `items`, its first 50, as `/transactions` has them. `round`: a "
            "round that failed. `validator`: a change of the set. `alert`: as `/alerts` has it, with `state` firing or resolved. `claim`: one of the "
            "faucet's newest claims that is new or has another state, as `/faucet/payouts` has it; of topic `claim:{id}` this one alone. `resync`: events were left out; load again."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/events", tags=["events"], response_class=Response, responses=_EVENTS)
async def get_events(
    api: Given,
    request: Request,
    topics: Annotated[
        str,
        Query(
            max_length=100,
            description="Some of block, tx, round, validator, alert, claim, with commas; `claim:{id}` is one claim alone.",
        ),
    ],
    last_event_id: Annotated[
        str | None,
        Header(max_length=60, description="`id` of the last event that was read: the next ones follow."),
    ] = None,
) -> Response:
    """What is new, as it is indexed or noticed; `Last-Event-ID` catches up on what was missed, 32 events at most."""
    del last_event_id
    asked = {topic.partition(":")[0] for topic in topics.split(",")}
    if "alert" in asked and api.monitor is None:
        raise Unavailable("nobody watches the nodes from here, so there are no alerts")
    if "claim" in asked and not api.tells_claims:
        raise NotFound("this network has no faucet whose claims are told here")
    return await api.hub.serve(request)
