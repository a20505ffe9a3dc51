"""Tokens that call themselves a megabyte: what the index, the pages and the community API make of it, on a real chain."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_utils.address import to_checksum_address
from tests.testnet.api_server import serving
from tests.testnet.index_chain import Chain
from tests.testnet.index_runs import index_to

from sdk.testnet import Testnet
from sdk.testnet.services.explorer.app import make_app
from sdk.testnet.services.explorer.parts import ExplorerParts
from sdk.testnet.services.indexer.events import TRANSFER
from sdk.testnet.services.node_pool import open_node_pool
from sdk.testnet.services.store import Store
from sdk.testnet.services.web.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
QUARTER = 1 << 18
"""Longer names cost more gas than the index gives for one."""
HTML_BYTES_MAX = 60 * 1024
JSON_BYTES_MAX = 128 * 1024
NAME_SELECTOR = "0x06fdde03"


def giant(size: int) -> bytes:
    """The code that makes a token which answers every function with a text of so many letters A, and sends an event for less than a selector."""
    letters = bytes.fromhex("7f") + b"A" * 32 + bytes.fromhex("604052")  # mstore(0x40, "AAA...")
    runtime = (
        bytes.fromhex("60033611603f57")  # if calldatasize > 3: goto answer
        + bytes.fromhex("6001600052")  # mstore(0, 1)
        + bytes.fromhex("336000")  # the topics: to the caller, from nobody,
        + bytes.fromhex("7f") + TRANSFER  # and the event's
        + bytes.fromhex("60206000a300")  # log3(0, 32); stop
    )  # fmt: skip
    # Code between is unreachable: the target above is one number for every size.
    runtime += b"\xfe" * (0x3F - len(runtime))
    answer = bytes.fromhex("5b") + bytes.fromhex("6020600052")  # mstore(0, 32)
    answer += bytes.fromhex("62") + size.to_bytes(3) + bytes.fromhex("602052")  # mstore(32, size)
    answer += letters + bytes.fromhex("6020")  # n = 32
    loop = 0x3F + len(answer)
    answer += bytes.fromhex("5b80604082604001") + bytes.fromhex("5e")  # mcopy(0x40 + n, 0x40, n)
    answer += bytes.fromhex("60011b")  # n = 2 * n
    answer += (
        bytes.fromhex("8062") + size.to_bytes(3) + bytes.fromhex("11") + bytes.fromhex("60") + bytes([loop])
    )
    answer += bytes.fromhex("57")  # while size > n
    answer += bytes.fromhex("62") + (size + 0x40).to_bytes(3) + bytes.fromhex("6000f3")
    runtime += answer
    head = bytes.fromhex("60") + bytes([len(runtime)]) + bytes.fromhex("80600b6000396000f3")
    return head + runtime


@dataclass(frozen=True)
class World:
    """The chain's address, its index, and its two tokens."""

    rpc_url: str
    store: Store
    largest: str
    large: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with (
        Testnet(validators=1, block_time_s=1, in_memory=True) as net,
        Chain(net.rpc_url, net.accounts[0]) as chain,
    ):
        made = [chain.do(data=giant(size))["contractAddress"] for size in (MEGABYTE, QUARTER)]
        for token in made:
            emitted = chain.do(to=token, data=b"\x01")
            assert emitted["status"] == "0x1"
            assert len(emitted["logs"]) == 1
        said = chain.rpc("eth_call", {"to": made[0], "data": NAME_SELECTOR, "gas": hex(10**7)}, "latest")
        assert len(said) == 2 + 2 * (MEGABYTE + 0x40)
        assert bytes.fromhex(said[2:])[0x40:] == b"A" * MEGABYTE
        head = int(emitted["blockNumber"], 16)
        store = Store(f"sqlite:///{tmp_path_factory.mktemp('giant')}/index.db")
        asyncio.run(index_to(store, net.rpc_url, head))
        yield World(net.rpc_url, store, *map(to_checksum_address, made))
        store.close()


def test_the_index_has_both_tokens_and_of_a_long_name_64_letters(world: World) -> None:
    with serving(world.store, world.rpc_url) as url:
        listed = httpx.get(f"{url}/api/v1/tokens", timeout=20)
        found = {one["contract"]["address"]: one for one in listed.json()["items"]}

    assert len(listed.content) < 4_096
    assert (found[world.largest]["name"], found[world.largest]["symbol"]) == (None, None)
    assert (found[world.large]["name"], found[world.large]["symbol"]) == ("A" * 64, "A" * 64)
    assert found[world.large]["transfer_count"] == found[world.largest]["transfer_count"] == 1


@pytest.mark.parametrize("which", ["largest", "large"])
def test_a_call_that_returns_it_is_answered_in_bounds(world: World, which: str) -> None:
    token, size = getattr(world, which), {"largest": MEGABYTE, "large": QUARTER}[which]
    with serving(world.store, world.rpc_url) as url:
        answer = httpx.post(f"{url}/api/v1/contracts/{token}/call", json={"function": "name"}, timeout=20)

    assert answer.status_code == 200, answer.text[:500]
    told = answer.json()
    assert (told["succeeded"], told["values"], told["returned_bytes"]) == (False, None, size + 0x40)
    assert "something else" in told["error"]
    assert len(answer.content) < JSON_BYTES_MAX


@pytest.mark.parametrize("which", ["largest", "large"])
def test_pages_stay_short(world: World, which: str) -> None:
    token = getattr(world, which)

    async def ask() -> dict[str, Any]:
        async with open_node_pool([world.rpc_url]) as nodes:
            site = Site(network_name="n", chain_id=1337)
            app = make_app(ExplorerParts.of(site=site, store=world.store, nodes=nodes)).app
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://any") as http:
                paths = [f"/token/{token}", f"/address/{token}", "/tokens", f"/address/{token}/read"]
                paths.append(f"/address/{token}/read?f={NAME_SELECTOR}")
                paths.append(f"/address/{token}/read.json?f={NAME_SELECTOR}")
                return {path: await http.get(path) for path in paths}

    for path, answer in asyncio.run(ask()).items():
        assert answer.status_code == 200, (path, answer.text[:500])
        assert len(answer.content) <= HTML_BYTES_MAX, (path, len(answer.content))
        assert "A" * 65 not in answer.text, path
