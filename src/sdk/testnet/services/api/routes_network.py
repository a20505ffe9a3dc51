"""The network as a whole: what it is, whether it moves, sums, search."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.parts import Given
from sdk.testnet.services.queries import blocks, contracts, search, statistics

router = APIRouter(responses=parts.PROBLEMS)

LATE_PERIODS: Final = 3
STALLED_PERIODS: Final = 10
"""Block times without a block after which the network is late, and stands."""
LAG_BLOCKS_MAX: Final = 2


@router.get("/network", tags=["network"])
def get_network(api: Given) -> d.Network:
    """What this network is, and where to find it."""
    with api.store.look() as connection:
        status = statistics.index_status(connection)
    config = api.config
    return d.Network(
        name=config.network_name,
        chain_id=config.chain_id,
        genesis_hash=answers.hex_of(status.genesis_hash) if status else None,
        currency_symbol=config.currency_symbol,
        block_time_s=config.block_time_s,
        rpc_url=config.rpc_url,
        explorer_url=config.explorer_url,
        faucet_url=config.faucet_url,
        api_url=f"{config.public_url}/api/v1",
        reset_policy=config.reset_policy,
    )


@router.get("/network/status", tags=["network"])
async def network_status(api: Given) -> d.NetworkStatus:
    """Whether blocks come, and whether the index follows."""

    def look() -> blocks.BlockRow | None:
        with api.store.look() as connection:
            return blocks.latest_block(connection)

    newest = await asyncio.to_thread(look)
    head = None
    reasons = []
    try:
        head = int(await api.node.call("eth_blockNumber"), 16)
    except (Unavailable, JSONRPCError):
        reasons.append("no node answers")
    age = None if newest is None else max(0, int(time.time()) - newest.timestamp)
    verdict = "unknown" if newest is None or age is None or head is None else "ok"
    if age is not None and age > STALLED_PERIODS * api.config.block_time_s:
        verdict = "stalled" if head is not None else "unknown"
        reasons.append(f"the newest indexed block is {age} s old")
    elif age is not None and age > LATE_PERIODS * api.config.block_time_s and verdict == "ok":
        verdict = "late"
        reasons.append(f"the newest indexed block is {age} s old")
    indexed = None if newest is None else newest.number
    lag = None if head is None else max(0, head - (-1 if indexed is None else indexed))
    if lag is not None and lag > LAG_BLOCKS_MAX:
        reasons.append(f"the index is {lag} blocks behind")
    return d.NetworkStatus(
        verdict=verdict, reasons=reasons, head=head, indexed=indexed, lag_blocks=lag, seconds_since_block=age
    )


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
    base = int(await api.node.call("eth_baseFee"), 16)
    tip = int(await api.node.call("eth_maxPriorityFeePerGas"), 16)
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
    """What a function's selector or an event's topic may mean."""
    with api.store.look() as connection:
        rows = contracts.find_signatures(connection, bytes.fromhex(selector[2:]))
    return d.Signatures(
        items=[
            d.Signature(selector=answers.hex_of(row.selector), text=row.text, source=row.source)
            for row in rows
        ]
    )


@router.get("/me", tags=["network"])
def get_me(request: Request) -> d.Me:
    """Who asks, and what is left of the minute."""
    used = request.state.allowance
    return d.Me(key=used.key, limit=used.limit, remaining=max(0, used.limit - used.used))


@router.get(
    "/events",
    tags=["events"],
    response_class=Response,
    responses={200: {"description": "Server-sent events.", "content": {"text/event-stream": {}}}},
)
async def get_events(
    api: Given,
    request: Request,
    topics: Annotated[
        str, Query(max_length=100, description="Some of block, round, validator, with commas.")
    ],
) -> Response:
    """New blocks, late rounds and changes of the set as they are indexed; `Last-Event-ID` catches up."""
    del topics
    return await api.hub.serve(request)
