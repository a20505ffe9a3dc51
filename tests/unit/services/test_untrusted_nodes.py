"""A node that answers what can't be read: nobody meets a fault of ours, and what the index has is shown all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.unit.services.told_chain import TOKEN, ToldChain, write_chain

from metanode.crypto.addresses import parse_address
from metanode.errors import Unavailable
from sdk.testnet.services.api import ApiConfig
from sdk.testnet.services.api import make_app as make_api
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.store import Store
from sdk.testnet.services.verification import Verifier
from sdk.testnet.services.verification.compilers import Compiler, Compilers
from sdk.testnet.services.verification.submissions import Submission
from sdk.testnet.services.verification.taking import take_submission
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

UNKNOWN = "0x" + "ab" * 32
BALANCE = f"/api?module=account&action=balance&address={TOKEN}"


class Strange:
    """A node that answers the same to everything."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def within(self, _: int) -> Strange:
        return self

    async def call(self, *_: Any) -> Any:
        return self.answer

    async def placed_call(self, *_: Any) -> Any:
        return 0, self.answer

    async def batch(self, calls: Any) -> list[Any]:
        return [self.answer for _ in calls]

    async def each(self, *_: Any, within_s: float) -> list[Any]:
        assert within_s > 0
        return [self.answer]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    found = Store(f"sqlite:///{tmp_path_factory.mktemp('strange')}/index.db")
    write_chain(found, ToldChain(head=2))
    yield found
    found.close()


def asking(app: ASGIApp) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://any")


HUGE = "0x" + "f" * 4_000
"""More digits than Python writes out of a number."""
STRANGE = pytest.mark.parametrize(
    "answer",
    [None, 7, "0xzz", HUGE, {}, [1], {"pending": 1}, {"number": HUGE, "timestamp": "0x1", "period": HUGE}],
    ids=lambda answer: f"{answer!r:.40}",
)


@STRANGE
async def test_the_api_says_that_the_node_cannot_be_read(store: Store, answer: Any) -> None:
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", anonymous_a_minute=10_000)
    node: Any = Strange(answer)
    call = {"function": "totalSupply", "arguments": []}
    async with asking(make_api(store=store, node=node, config=config)) as http:
        known = await http.get(f"/api/v1/addresses/{TOKEN}")
        dialect = await http.get(BALANCE)
        refused = [
            await http.get("/api/v1/gas"),
            await http.post("/api/v1/transactions", json={"raw": "0x1122"}),
        ]
        pending = await http.get("/api/v1/transactions/pending")
        state = await http.get("/api/v1/consensus/state")
        called = await http.post(f"/api/v1/contracts/{TOKEN}/call", json=call)

    assert (known.status_code, known.json()["balance_wei"], known.json()["transaction_count"] > 0) == (
        200,
        None,
        True,
    )
    assert (dialect.status_code, dialect.json()["status"]) == (200, "0")
    assert dialect.json()["result"] == "Error! the node answers what can't be read"
    assert [(each.status_code, each.json()["detail"]) for each in refused] == [
        (503, "the node answers what can't be read")
    ] * 2
    assert (pending.status_code, pending.json()["code"]) == (503, "unavailable")
    assert state.status_code == (200 if isinstance(answer, dict) else 503)
    # What is data of a wrong length is an answer of the contract.
    assert called.status_code == (200 if answer == HUGE else 503)


@STRANGE
async def test_of_the_network_it_is_said_that_no_node_tells(store: Store, answer: Any) -> None:
    config = ApiConfig(network_name="any", chain_id=1, public_url="http://any", anonymous_a_minute=10_000)
    node: Any = Strange(answer)
    async with asking(make_api(store=store, node=node, config=config)) as http:
        ready = await http.get("/readyz")
        network = await http.get("/api/v1/network")
        status = await http.get("/api/v1/network/status")
        history = await http.get(f"/api/v1/addresses/{TOKEN}/balance-history")

    assert (ready.status_code, ready.text.splitlines()[1]) == (200, "node: does not answer")
    assert (network.status_code, network.json()["block_time_s"]) == (200, 2), "the usual one"
    assert (status.status_code, status.json()["verdict"], status.json()["head"]) == (200, "unknown", None)
    assert (history.status_code, history.json()["code"]) == (503, "unavailable")


@pytest.mark.parametrize("answer", [None, 7, "0xzz", {}, [1]], ids=repr)
async def test_no_sources_are_taken_while_the_code_cannot_be_read(store: Store, answer: Any) -> None:
    node = Strange(answer)
    compiler = Compiler(language="Vyper", version="0.4.3", command=("vyper",))
    verifier = Verifier(store=store, node=node, compilers=Compilers(found=(compiler,)))
    submission = Submission(
        language="Vyper", version="0.4.3", commit="", source_path="", name="Any", standard_json="{}"
    )

    with pytest.raises(Unavailable, match="the node answers what can't be read"):
        await take_submission(
            submission, parse_address(TOKEN), verifier=verifier, store=store, node=node, requester="any"
        )


@STRANGE
async def test_pages_are_shown_without_what_the_node_says(store: Store, answer: Any) -> None:
    nodes: Any = Strange(answer)
    parts = ExplorerParts.of(site=Site(network_name="n", chain_id=1), store=store, nodes=nodes)
    async with asking(make_app(parts).app) as http:
        pages = [
            await http.get(path)
            for path in (
                "/",
                "/block/2",
                f"/address/{TOKEN}",
                f"/address/{TOKEN}/read?f=0x18160ddd",
                f"/token/{TOKEN}",
                "/validators",
                "/votes",
            )
        ]
        waiting = await http.get(f"/tx/{UNKNOWN}")

    assert [page.status_code for page in pages] == [200] * len(pages)
    # That there is none is what a node may answer.
    assert waiting.status_code == (404 if answer is None else 503)
