"""Who uses the network, read on the dashboard: addresses, transactions a day, calls by method, WebSocket connections."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import httpx
from sqlalchemy import update
from tests.unit.services.explorer.watched import DATA, Monitor, Nodes
from tests.unit.services.told_chain import FIRST_TIMESTAMP, ToldChain, write_chain

from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import index_state
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY_S = 86_400
BLOCKS_OF_FIRST_DAY = 3


class Days(ToldChain):
    """Blocks of two days with two transactions each: a payment to somebody new, and one to the token."""

    def block(self, number: int) -> dict[str, Any] | None:
        found = super().block(number)
        if found is not None and number > BLOCKS_OF_FIRST_DAY:
            found["timestamp"] = hex(int(found["timestamp"], 16) + DAY_S)
        return found


def rows(page: str, caption: str) -> list[list[str]]:
    """The cells of a table."""
    table = page[page.index(caption) :].partition("</table>")[0]
    return [
        [
            html.unescape(re.sub(r"<[^>]*>", "", cell))
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", table.partition("</thead>")[2], re.DOTALL)
    ]


def facts(page: str) -> dict[str, str]:
    found = re.findall(r"<dt>([^<]*)</dt><dd>(.*?)</dd>", page, re.DOTALL)
    return {name: html.unescape(re.sub(r"<[^>]*>", "", value)).strip() for name, value in found}


async def test_the_dashboard_says_who_uses_the_network_and_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(f"sqlite:///{tmp_path}/index.db")
    write_chain(store, Days(head=8, transactions=2))
    with store.change() as connection:
        # The dashboard's today is that of the index.
        connection.execute(update(index_state).values(indexed_at=FIRST_TIMESTAMP + DAY_S + 60))
    calls = {"eth_call": 4_711, "eth_blockNumber": 12, "eth_getLogs": 0, "<b>": 3}
    traffic = DATA["traffic"] | {"rpc_calls": calls, "websocket_connections": 7}
    at_gateway = {
        "rpc_calls": {"eth_blockNumber": 90_000, "eth_call": 4_000, "eth_subscribe": 5},
        "websocket_connections": 40,
    }
    monkeypatch.setitem(DATA, "traffic", traffic)
    parts = ExplorerParts.of(
        site=Site(network_name="n", chain_id=1), store=store, nodes=Nodes(), monitor=Monitor()  # type: ignore[arg-type]
    )  # fmt: skip
    transport = httpx.ASGITransport(make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        page = (await http.get("/dashboard")).text
        twin = (await http.get("/dashboard.json")).json()
        monkeypatch.setitem(DATA, "traffic", traffic | {"gateway": at_gateway})
        with_gateway = (await http.get("/dashboard")).text
    store.close()

    told = facts(page)
    # Eight who were paid, one who paid, the token, and who gets the fees.
    assert told["Addresses"] == f"{twin['use']['addresses']} unique, since the first block"
    assert twin["use"]["addresses"] >= 8 + 3
    assert told["Active today"] == "1 sent something, since 00:00 UTC"
    assert told["WebSocket connections"] == "7"
    assert [row[:3] for row in rows(page, "Use by day, the newest first")] == [
        ["2023-11-15", "10", "1"],
        ["2023-11-14", "6", "1"],
    ]
    assert sum(int(row[3]) for row in rows(page, "Use by day, the newest first")) == twin["use"]["addresses"]
    assert rows(page, "JSON-RPC calls by method") == [
        ["eth_call", "4\u202f711"],
        ["eth_blockNumber", "12"],
        ["<b>", "3"],
    ]
    assert "<code><b></code>" not in page

    # To nodes a gateway is one caller, and of what it answers itself they know nothing.
    assert facts(with_gateway)["WebSocket connections"] == "40 at the gateway; 7 at nodes, its own among them"
    assert rows(with_gateway, "JSON-RPC calls by method") == [
        ["eth_blockNumber", "90\u202f000", "12"],
        ["eth_call", "4\u202f000", "4\u202f711"],
        ["eth_subscribe", "5", "0"],
        ["<b>", "0", "3"],
    ]
