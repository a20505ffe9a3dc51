"""What a browser has already is not sent again: pages of what is final have a tag, all others are kept for a second at most."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import select, update
from tests.unit.services.told_chain import SENDER, ToldChain, write_chain

from metanode.rpc.errors import NodeUnreachable
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.store import Store
from sdk.testnet.services.store.tables import accounts, blocks, transactions
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

HEAD = 6


class Nodes:
    """They tell how far the chain is, and nothing else."""

    def within(self, _: int) -> Nodes:
        return self

    async def call(self, method: str, *_: Any) -> Any:
        if method == "eth_blockNumber":
            return hex(HEAD)
        raise NodeUnreachable("away")

    async def placed_call(self, *_: Any) -> Any:
        raise NodeUnreachable("away")

    async def batch(self, _: Any) -> Any:
        raise NodeUnreachable("away")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An index of seven blocks, the newest of which has no child yet."""
    found = Store(f"sqlite:///{tmp_path}/index.db")
    write_chain(found, ToldChain(head=HEAD, transactions=2))
    with found.change() as connection:
        connection.execute(update(blocks).where(blocks.c.number < HEAD).values(is_canonical=True))
    yield found
    found.close()


@asynccontextmanager
async def browsing(store: Store) -> AsyncIterator[httpx.AsyncClient]:
    parts = ExplorerParts.of(site=Site(network_name="n", chain_id=1), store=store, nodes=Nodes())  # type: ignore[arg-type]
    transport = httpx.ASGITransport(make_app(parts).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://explorer") as http:
        yield http


def a_transaction(store: Store) -> str:
    with store.look() as connection:
        found: bytes = connection.execute(select(transactions.c.hash)).scalars().first()
    return f"0x{found.hex()}"


@pytest.mark.parametrize(
    "path", ["/block/2", "/block/2.json", "/tx/{hash}", "/tx/{hash}.json", "/tx/{hash}/logs", "/tx/{hash}/input"]
)  # fmt: skip
async def test_a_page_of_what_is_final_is_sent_once(store: Store, path: str) -> None:
    path = path.format(hash=a_transaction(store))
    async with browsing(store) as http:
        first = await http.get(path)
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
        tag = first.headers["etag"]
        assert tag.startswith('W/"')
        for given in (tag, f'"else", {tag}', tag.removeprefix("W/"), "*"):
            again = await http.get(path, headers={"if-none-match": given})
            assert (again.status_code, again.content) == (304, b""), given
            assert again.headers["etag"] == tag
            assert again.headers["cache-control"] == "no-cache"
        for given in ('"else"', "", "x" * 5_000, tag[:-2]):
            assert (await http.get(path, headers={"if-none-match": given})).status_code == 200, given
        assert (await http.head(path, headers={"if-none-match": tag})).status_code == 304


async def test_a_page_that_says_something_new_is_sent_again(store: Store) -> None:
    async with browsing(store) as http:
        before = await http.get("/block/2")
        named = (
            update(accounts).where(accounts.c.address == bytes.fromhex(SENDER[2:])).values(name="Treasury")
        )
        with store.change() as connection:
            connection.execute(named)
        after = await http.get("/block/2", headers={"if-none-match": before.headers["etag"]})

    assert after.status_code == 200
    assert "Treasury" in after.text
    assert after.headers["etag"] != before.headers["etag"]


@pytest.mark.parametrize(
    "path", ["/", "/blocks", "/blocks.json", "/transactions", f"/block/{HEAD}", "/block/latest", "/validators", f"/address/{SENDER}"]
)  # fmt: skip
async def test_what_the_next_block_changes_is_kept_for_a_second(store: Store, path: str) -> None:
    async with browsing(store) as http:
        answer = await http.get(path)

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "max-age=1")


@pytest.mark.parametrize("path", ["/block/99", "/nothing", "/pending", "/blocks?limit=x"])
async def test_an_error_is_kept_by_nobody(store: Store, path: str) -> None:
    async with browsing(store) as http:
        answer = await http.get(path, headers={"accept": "text/html", "if-none-match": "*"})

    assert answer.status_code in {400, 404, 503}
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers
