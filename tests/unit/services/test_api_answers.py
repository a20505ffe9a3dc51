"""The community API over an index of one block, asked without a socket."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.unit.services.told_block import IDENTITY, block

from sdk.testnet.services.api import ApiConfig, make_app
from sdk.testnet.services.indexer.writer import Writer
from sdk.testnet.services.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

TRANSACTION = "/api/v1/transactions/0x" + "11" * 32


@pytest.fixture
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('answers')}/index.db")
    fetched = block()
    receipt, tree = fetched.receipts[0], fetched.calls[0]
    assert tree is not None
    receipt["logs"] = [copy.deepcopy(receipt["logs"][0]) for _ in range(5)]
    tree["calls"] = [copy.deepcopy(tree["calls"][0]) for _ in range(5)]
    writer = Writer(store, {})
    writer.open(IDENTITY)
    writer.write([fetched])
    node: Any = None
    yield make_app(
        store=store,
        node=node,
        config=ApiConfig(network_name="any", chain_id=1, public_url="http://any", anonymous_a_minute=100_000),
    )
    store.close()


def asking(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any")


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("what", ["logs", "transfers", "internal"])
async def test_what_a_transaction_did_is_walked_in_pages(app: FastAPI, what: str, order: str) -> None:
    found: list[Any] = []
    sizes: list[int] = []
    cursor = ""
    async with asking(app) as http:
        whole = (await http.get(f"{TRANSACTION}/{what}?order={order}")).json()
        while True:
            page = (await http.get(f"{TRANSACTION}/{what}?order={order}&limit=2{cursor}")).json()
            found += page["items"]
            sizes.append(len(page["items"]))
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"

    assert sizes == [2, 2, 1]
    assert found == whole["items"]
    assert whole["next"] is None
    assert len({repr(one) for one in found}) == 5


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/openapi.json"])
async def test_a_post_with_a_key_to_a_page_that_takes_none_is_refused(app: FastAPI, path: str) -> None:
    async with asking(app) as http:
        answers = [await http.post(path, headers={"idempotency-key": "a"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [405, 405]


async def test_a_body_that_is_too_long_is_413_with_a_key_too(app: FastAPI) -> None:
    async with asking(app) as http:
        answer = await http.post(
            "/api/v1/transactions", content=b"x" * 1_100_000, headers={"idempotency-key": "a"}
        )

    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_who_leaves_while_sending_a_body_with_a_key_is_no_fault(app: FastAPI) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope: Any = {
        "type": "http", "method": "POST", "path": "/api/v1/transactions", "raw_path": b"", "query_string": b"",
        "headers": [(b"idempotency-key", b"a")], "client": ("127.0.0.1", 1), "server": ("any", 80),
        "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    await app(scope, receive, send)
