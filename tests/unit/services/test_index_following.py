"""How a chain's last blocks and what decided them are fetched: nothing of it is left out, whatever a node has no answer for at first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from metanode.chain.certificate import Certificate
from metanode.chain.header import EMPTY_EVIDENCE_ROOT, ConsensusHeader
from metanode.chain.validators import ValidatorSet
from metanode.errors import Unavailable
from metanode.primitives.hexadecimal import encode_data
from metanode.primitives.types import ZERO_HASH, Address, Hash32, Height, Round
from metanode.rpc.errors import InvalidRequest, JSONRPCError
from sdk.testnet.services.failures import raise_first
from sdk.testnet.services.indexer.configuration import IndexerConfig
from sdk.testnet.services.indexer.indexer import Indexer
from sdk.testnet.services.indexer.node import BATCH_MAX, BLOCKS_MAX, ChainNode
from sdk.testnet.services.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sdk.testnet.services.indexer.fetched import FetchedBlock

MEMBER = Address(b"\x0a" * 20)
HASH = Hash32(b"\x21" * 32)
CONSENSUS = ("ibft_getRawHeader", "ibft_getCommitCertificate")


def header(number: int) -> str:
    members = ValidatorSet.of_addresses([MEMBER]).hash
    return encode_data(
        ConsensusHeader(
            version=1,
            chain_tag=HASH,
            height=Height(number),
            parent_hash=ZERO_HASH,
            execution_hash=HASH,
            requests_hash=HASH,
            timestamp=number,
            proposer=MEMBER,
            proposal_round=Round(0),
            validators_hash=members,
            next_validators_hash=members,
            consensus_state_root=HASH,
            parent_certificate_hash=ZERO_HASH,
            vote=None,
            evidence_root=EMPTY_EVIDENCE_ROOT,
        ).encode()
    )


def certificate(number: int) -> dict[str, Any]:
    made = Certificate(
        height=Height(number), round=Round(0), block_hash=HASH, signers=b"\1", seals=(bytes(65),)
    )
    return {"encoded": encode_data(made.encode())}


class HaltedNode:
    """A node whose chain has ended: empty blocks with all that decided them. It takes batches of 100, as ours."""

    def __init__(
        self, *, in_batches: tuple[Any, ...] = (), silent: frozenset[tuple[str, int]] = frozenset()
    ) -> None:
        self._in_batches = in_batches
        """What batches are told instead of how blocks were decided; a call alone is told it."""
        self._silent = silent

    async def call(self, method: str, *params: Any) -> Any:
        answer = self._answer(method, params)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        if len(calls) > 100:
            raise InvalidRequest(f"batch too large: {len(calls)} requests")
        return [
            self._in_batches[0] if self._in_batches and method in CONSENSUS else self._answer(method, params)
            for method, params in calls
        ]

    def _answer(self, method: str, params: Sequence[Any]) -> Any:
        number = int(params[0], 16)
        if (method, number) in self._silent:
            return None
        match method:
            case "eth_getHeaderByNumber":
                return {"gasUsed": "0x0"}
            case "eth_getBlockByNumber":
                return {"number": params[0], "transactions": []}
            case "eth_getBlockReceipts":
                return []
            case "ibft_getRawHeader":
                return header(number)
            case "ibft_getCommitCertificate":
                return certificate(number)
            case "ibft_getValidatorsByBlockNumber":
                return [encode_data(MEMBER)]
            case _:
                raise AssertionError(method)


def fetch(rpc: Any, first: int, head: int) -> list[FetchedBlock]:
    async def run() -> list[FetchedBlock]:
        node = ChainNode(rpc)
        return [
            block
            for numbers in await node.groups(first, head)
            for block in await node.fetch(numbers, head=head)
        ]

    return asyncio.run(run())


def is_whole(found: list[FetchedBlock], first: int, head: int) -> bool:
    return [
        (
            one.number,
            one.header and one.header.height,
            one.parent_certificate and one.parent_certificate.height,
        )
        for one in found
    ] == [
        (number, number, number - 1 if number > 1 else None) for number in range(first, head + 1)
    ] and found[-1].own_certificate == Certificate.decode(bytes.fromhex(certificate(head)["encoded"][2:]))


@pytest.mark.parametrize("count", [1, 2, BLOCKS_MAX - 1, BLOCKS_MAX, BLOCKS_MAX + 1, 25, 50, BATCH_MAX])
@pytest.mark.parametrize("first", [0, 1, 2, 25])
def test_a_halted_chain_is_fetched_to_its_last_block(first: int, count: int) -> None:
    head = max(1, first + count - 1)

    assert is_whole(fetch(HaltedNode(), first, head), first, head)


@pytest.mark.parametrize("refusal", [None, JSONRPCError("response too large", code=-32003)])
def test_what_decided_blocks_is_asked_again_where_a_batch_did_not_tell(refusal: Any) -> None:
    """A batch has no room left, or a node announced blocks before it had their consensus."""
    assert is_whole(fetch(HaltedNode(in_batches=(refusal,)), 5, 8), 5, 8)


@pytest.mark.parametrize("method", CONSENSUS)
def test_a_block_is_not_taken_without_what_decided_it(method: str) -> None:
    with pytest.raises(Unavailable, match="does not have"):
        fetch(HaltedNode(silent=frozenset({(method, 6)})), 5, 8)


def test_the_newest_block_may_lack_a_certificate_of_its_own() -> None:
    found = fetch(HaltedNode(silent=frozenset({("ibft_getCommitCertificate", 8)})), 5, 8)

    assert [one.own_certificate for one in found] == [None] * 4


@pytest.mark.parametrize("members", [[], [encode_data(MEMBER)] * 2, ["0x"], [None]])
def test_a_set_that_is_none_is_unavailable(members: list[Any]) -> None:
    class Odd(HaltedNode):
        def _answer(self, method: str, params: Sequence[Any]) -> Any:
            return members if method.startswith("ibft_getVal") else super()._answer(method, params)

    with pytest.raises(Unavailable, match="its validators"):
        fetch(Odd(), 5, 8)


async def test_a_fault_of_any_kind_ends_one_attempt_and_not_the_indexer(tmp_path: Path) -> None:
    asked: list[str] = []
    again = asyncio.Event()

    class Failing(Indexer):
        async def _follow(self, url: str) -> None:
            asked.append(url)
            if len(asked) == 1:
                raise AssertionError("what a node said")
            again.set()
            await asyncio.Event().wait()

    store = Store(f"sqlite:///{tmp_path}/index.db")
    indexer = Failing(store, IndexerConfig(rpc_urls=("http://one", "http://two")))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(indexer.run())
        await again.wait()
        following.cancel()
    store.close()

    assert asked == ["http://one", "http://two"]
    assert indexer.status.state == "node unavailable"
    assert "what a node said" in (indexer.status.trouble or "")


async def test_a_node_that_goes_while_the_indexer_is_to_end_does_not_keep_it(tmp_path: Path) -> None:
    """As at SIGTERM to a whole network: connections break while they are closed."""
    begun = asyncio.Event()

    class Broken(Indexer):
        async def _follow(self, url: str) -> None:
            async def lose() -> None:
                begun.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    raise Unavailable(f"{url} does not answer")

            with raise_first():
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(lose())

    store = Store(f"sqlite:///{tmp_path}/index.db")
    indexer = Broken(store, IndexerConfig(rpc_urls=("http://one",)))
    following = asyncio.get_running_loop().create_task(indexer.run())
    await begun.wait()
    following.cancel()
    ended, _ = await asyncio.wait([following], timeout=5)
    store.close()

    assert ended
    assert following.cancelled()
