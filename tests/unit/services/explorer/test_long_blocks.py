"""A block of ten thousand transactions: its pages, documents and files are as long as any other's. The node is a fake; the index is real."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.unit.services.explorer.test_kept_pages import Nodes as Away
from tests.unit.services.told_chain import ToldChain, write_chain

from sdk.testnet.services.api import ApiConfig
from sdk.testnet.services.api import make_app as make_api
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.store import Store
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

TRANSACTIONS = 10_000
LONG = 1
"""The number of the block."""
HTML_BYTES_MAX = 60 * 1024
JSON_BYTES_MAX = 128 * 1024
"""A hundred transactions, as programs ask for them at most."""
SHEET_ROWS_MAX = 5_000
ANSWER_S_MAX = 5.0
"""Of processor time, which other work leaves alone; it takes a tenth of a second."""


class Nodes(Away):
    """They are at the block."""

    async def call(self, method: str, *params: Any) -> Any:
        return hex(LONG) if method == "eth_blockNumber" else await super().call(method, *params)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Genesis, and the block: half of it pays, half moves a token."""
    found = Store(f"sqlite:///{tmp_path_factory.mktemp('long')}/index.db")
    write_chain(found, ToldChain(head=LONG, transactions=TRANSACTIONS))
    yield found
    found.close()


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[Any]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any") as http:

        async def ask(path: str) -> httpx.Response:
            began_s = time.process_time()
            answer = await http.get(path)
            assert answer.status_code == 200, answer.text[:2_000]
            assert time.process_time() - began_s < ANSWER_S_MAX
            return answer

        yield ask


def explorer(store: Store) -> Any:
    site = Site(network_name="n", chain_id=1)
    return make_app(ExplorerParts.of(site=site, store=store, nodes=Nodes())).app  # type: ignore[arg-type]


def api(store: Store) -> Any:
    config = ApiConfig(network_name="n", chain_id=1, public_url="http://any", anonymous_a_minute=1_000_000)
    return make_api(store=store, node=Nodes(), config=config)


async def test_the_pages_of_a_long_block_are_no_longer_than_others(store: Store) -> None:
    async with asking(explorer(store)) as ask:
        for path in (f"/block/{LONG}", "/blocks", "/transactions", "/", f"/transactions?block={LONG}"):
            page = await ask(path)
            assert len(page.content) <= HTML_BYTES_MAX, (path, len(page.content))
        shown = (await ask(f"/block/{LONG}")).text
        for path in (f"/block/{LONG}.json", "/transactions.json?limit=100"):
            document = await ask(path)
            assert len(document.content) <= JSON_BYTES_MAX, (path, len(document.content))
        sheet = await ask("/transactions.csv")

    assert "10\u202f000" in shown or "10,000" in shown, "how many there are"
    assert sheet.text.count("\n") == SHEET_ROWS_MAX + 1


async def test_the_documents_of_a_long_block_come_in_pages_that_have_it_all(store: Store) -> None:
    async with asking(api(store)) as ask:
        block = (await ask(f"/api/v1/blocks/{LONG}")).json()
        first = await ask(f"/api/v1/blocks/{LONG}/transactions?limit=100&order=asc")
        assert len(first.content) <= JSON_BYTES_MAX
        found: list[int] = []
        path = f"/api/v1/blocks/{LONG}/transactions?limit=100&order=asc"
        while path:
            page = await ask(path)
            found += [one["index"] for one in page.json()["items"]]
            path = page.links.get("next", {}).get("url", "").removeprefix("http://any")
        rows = (await ask("/api/v1/exports/transactions?format=ndjson")).text.splitlines()
        dialect = await ask("/api?module=account&action=txlist&address=0x" + "51" * 20)

    assert block["transaction_count"] == TRANSACTIONS
    assert found == list(range(TRANSACTIONS))
    assert len(rows) == SHEET_ROWS_MAX
    # All that one answer may have, and all that there are.
    assert len(dialect.json()["result"]) == TRANSACTIONS
