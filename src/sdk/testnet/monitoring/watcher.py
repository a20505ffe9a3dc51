"""Looks at nodes: asks all of them at once what the doctor asks, reads their metrics pages, and fetches the blocks that are new."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import httpx

from metanode.errors import InvalidInput, MetanodeError
from metanode.rpc.client import open_client
from sdk.testnet.diagnosis.collect import ask_nodes
from sdk.testnet.diagnosis.facts import NetworkFacts, NodeFacts
from sdk.testnet.diagnosis.scene import Scene
from sdk.testnet.monitoring.observation import Block, Observation, read_block, read_hash
from sdk.testnet.monitoring.page import PAGE_BYTES_MAX, MetricsPage, read_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sdk.testnet.diagnosis.facts import ConsensusView
    from sdk.testnet.monitoring.endpoints import Endpoint

PAGE_TIMEOUT_S: Final = 3.0
BLOCKS_TIMEOUT_S: Final = 3.0
"""With the doctor's four seconds a look takes less than the eight after which data is old: nothing else is waited for in between."""
BLOCKS_MAX: Final = 32
"""Blocks of one look: three calls for each are one batch that every node takes. Who looks every two seconds misses none."""
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""32 blocks of 5,000 transaction hashes."""
HASHES_APART_MAX: Final = 5
"""Nodes that are further behind are not compared: they would hold all others back."""


class Watcher:
    """Looks at the same nodes again and again. One task calls it."""

    def __init__(self, endpoints: Sequence[Endpoint], *, monotonic_s: Callable[[], float]) -> None:
        self._endpoints = tuple(endpoints)
        self._monotonic_s = monotonic_s
        self._seen = -1
        self._genesis: str | None = None
        self._keys: dict[str, str] = {}
        """By node the validator that it was last: who is silent is called by that name."""

    async def look(self) -> Observation:
        """Ask everybody; never raises because of what a node does."""
        nodes = [
            NodeFacts(name=one.name, url=one.rpc_url, role=one.role, key=self._keys.get(one.name))
            for one in self._endpoints
        ]
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(ask_nodes(nodes))
            reading = tasks.create_task(self._read_pages())
        facts = NetworkFacts(nodes=asked.result())
        at_s = self._monotonic_s()
        for node in facts.nodes:
            if node.consensus is not None and node.consensus.validator is not None:
                self._keys[node.name] = node.consensus.validator
        heads = sorted(
            ((_view(node).head, node) for node in Scene(facts).chain), key=lambda one: (one[0], one[1].name)
        )
        blocks: tuple[Block, ...] = ()
        hashes: dict[str, str] = {}
        common = 0
        if heads:
            top, best = heads[-1]
            comparable = [(head, node) for head, node in heads if head >= top - HASHES_APART_MAX]
            common = min(head for head, _ in comparable)
            async with asyncio.TaskGroup() as tasks:
                fetching = tasks.create_task(self._fetch(best, top))
                comparing = {
                    node.name: tasks.create_task(_hash_at(node.url, common)) for _, node in comparable
                }
            blocks = fetching.result()
            hashes = {name: found for name, task in comparing.items() if (found := task.result()) is not None}
        return Observation(
            at_s=at_s, facts=facts, pages=reading.result(), blocks=blocks, hashes=hashes, hashes_at=common
        )

    async def _read_pages(self) -> dict[str, MetricsPage]:
        wanted = [(one.name, one.metrics_url) for one in self._endpoints if one.metrics_url is not None]
        async with asyncio.TaskGroup() as tasks:
            reading = {name: tasks.create_task(fetch_page(url)) for name, url in wanted}
        return {name: page for name, task in reading.items() if (page := task.result()) is not None}

    async def _fetch(self, node: NodeFacts, head: int) -> tuple[Block, ...]:
        """The blocks after the last one that was seen; the newest ones when they are too many. Another chain begins anew."""
        genesis = _view(node).genesis_hash
        if genesis != self._genesis:
            self._genesis, self._seen = genesis, -1
        first = max(self._seen + 1, head - BLOCKS_MAX + 1, 0)
        numbers = range(first, head + 1)
        if not numbers:
            return ()
        calls: list[tuple[str, Sequence[Any]]] = []
        for number in numbers:
            calls += [
                ("eth_getBlockByNumber", [hex(number), False]),
                ("ibft_getCommitCertificate", [hex(number)]),
                ("ibft_getRawHeader", [hex(number)]),
            ]
        try:
            async with (
                asyncio.timeout(BLOCKS_TIMEOUT_S),
                open_client(node.url, timeout_s=BLOCKS_TIMEOUT_S, bytes_max=ANSWER_BYTES_MAX) as client,
            ):
                answers = await client.batch(calls)
            found = []
            for block, certificate, header in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
                if isinstance(block, MetanodeError) or block is None:
                    break
                found.append(read_block(block, certificate, header))
        except (TimeoutError, MetanodeError):
            return ()
        if found:
            self._seen = found[-1].number
        return tuple(found)


async def _hash_at(url: str, number: int) -> str | None:
    try:
        async with (
            asyncio.timeout(BLOCKS_TIMEOUT_S),
            open_client(url, timeout_s=BLOCKS_TIMEOUT_S, bytes_max=ANSWER_BYTES_MAX) as client,
        ):
            return read_hash(await client.call("eth_getBlockByNumber", hex(number), False))  # noqa: FBT003 - JSON
    except (TimeoutError, MetanodeError):
        return None


async def fetch_page(url: str) -> MetricsPage | None:
    """A metrics page, read no further than to its limit; None when there is none."""
    try:
        async with (
            asyncio.timeout(PAGE_TIMEOUT_S),
            httpx.AsyncClient(
                timeout=PAGE_TIMEOUT_S, trust_env=False, verify=not url.startswith("http:")
            ) as http,
            http.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
        ):
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > PAGE_BYTES_MAX:
                    return None
            if response.status_code != 200:
                return None
            return read_page(content.decode(errors="replace"))
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, InvalidInput):
        return None


def _view(node: NodeFacts) -> ConsensusView:
    assert node.consensus is not None, node.name
    return node.consensus
