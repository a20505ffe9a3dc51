"""What an indexer asks a node, and what it makes of the answers. Nothing the node says is believed before `rows` has read it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.validators import ValidatorSet
from metanode.crypto.addresses import parse_address
from metanode.errors import Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity, encode_quantity
from metanode.rpc.errors import JSONRPCError, MethodNotFound, NodeFault
from sdk.testnet.services.indexer.fetched import FetchedBlock, Identity
from sdk.testnet.services.indexer.told import TOO_LARGE, is_too_large, require, told
from sdk.testnet.services.indexer.tracing import Tracer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.primitives.types import Address
    from metanode.rpc.client import JSONRPCClient

BATCH_MAX: Final = 100
"""Calls of one batch: a node refuses longer ones."""
CALLS_OF_A_BLOCK: Final = 4
BLOCKS_MAX: Final = (BATCH_MAX - 1) // CALLS_OF_A_BLOCK
"""Of one group; the one call left is for the certificate of the newest block."""
GAS_MAX: Final = 30_000_000
"""Of one group of several blocks. What is said of a block grows with the gas that it used: 1,400 transfers are 3 MB of JSON, and the longest logs
that it pays for 8 MB. A block that used more is fetched alone."""
RECEIPTS_MAX: Final = 50
"""Asked for in one batch when a block's are too many for one answer."""
_PAGE: Final = 25
"""Of `ots_getBlockTransactions`, the node's limit."""
_CONSENSUS_PAUSES_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""A node announces blocks a moment before it tells how they were decided; it is asked again after these pauses, then its answer is refused."""
_SETS_REMEMBERED: Final = 16
_OF_TRANSACTION: Final = ("hash", "from", "to", "nonce", "value", "input", "type", "gas")
_OF_RECEIPT: Final = ("transactionHash", "gasUsed", "effectiveGasPrice", "status", "contractAddress", "logs")
_OF_LOG: Final = ("address", "topics", "data")
"""What `rows` reads. The rest, a bloom of 256 bytes in every receipt for one, would be two thirds of what a full block takes while it waits to be written."""


class ChainNode:
    """One node, asked in batches. Raises Unavailable whenever it does not answer, or not with what was asked."""

    def __init__(self, rpc: JSONRPCClient) -> None:
        self._rpc = rpc
        self._tells_consensus = True
        self._tells_headers = True
        self._tracer = Tracer(rpc)
        self._sets: OrderedDict[bytes, tuple[Address, ...]] = OrderedDict()

    async def identity(self) -> Identity:
        """Return which chain it is of."""
        answers = await self._ask(
            ("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False)), ("ibft_getRawHeader", ("0x0",))
        )
        chain_id, genesis, raw = answers
        require(chain_id, genesis)
        self._tells_consensus = isinstance(raw, str)
        with told("its genesis block"):
            return Identity(
                chain_id=decode_quantity(chain_id, bits=63),
                genesis_hash=decode_data(genesis["hash"], length=32),
                consensus_genesis_hash=ConsensusHeader.decode(decode_data(raw)).hash
                if isinstance(raw, str)
                else b"",
            )

    async def head(self) -> int:
        """Return the number of its newest finalized block."""
        (number,) = await self._ask(("eth_blockNumber", ()))
        require(number)
        with told("its head"):
            return decode_quantity(number, bits=63)

    async def groups(self, first: int, last: int) -> list[range]:
        """Cut blocks `first` to `last` (at most BATCH_MAX) into groups that are fetched and written at once."""
        numbers = range(first, last + 1)
        assert 0 < len(numbers) <= BATCH_MAX
        found: list[range] = []
        start, weight = first, 0
        for number, gas in zip(numbers, await self._gas_of(numbers), strict=True):
            if number > start and (number - start == BLOCKS_MAX or weight + gas > GAS_MAX):
                found.append(range(start, number))
                start, weight = number, 0
            weight += gas
        found.append(range(start, last + 1))
        return found

    async def _gas_of(self, numbers: range) -> list[int]:
        """The gas that each block used."""
        answers: list[Any] = []
        if self._tells_headers:
            answers = await self._ask(*(("eth_getHeaderByNumber", (encode_quantity(n),)) for n in numbers))
            self._tells_headers = not any(isinstance(answer, MethodNotFound) for answer in answers)
        if not self._tells_headers:
            answers = await self._each(
                [("eth_getBlockByNumber", (encode_quantity(n), False)) for n in numbers]
            )
        require(*answers)
        with told("its blocks' sizes"):
            return [decode_quantity(answer["gasUsed"], bits=63) for answer in answers]

    async def fetch(self, numbers: range, *, head: int) -> list[FetchedBlock]:
        """Return a group's blocks; of block `head` also the certificate that this node recorded."""
        calls: list[tuple[str, Sequence[Any]]] = []
        for number in numbers:
            block = encode_quantity(number)
            calls += [("eth_getBlockByNumber", (block, True)), ("eth_getBlockReceipts", (block,))]
            if self._tells_consensus:
                calls.append(("ibft_getRawHeader", (block,)))
                if number > 1:
                    calls.append(("ibft_getCommitCertificate", (encode_quantity(number - 1),)))
        if self._tells_consensus and head in numbers and head > 0:
            calls.append(("ibft_getCommitCertificate", (encode_quantity(head),)))
        assert len(calls) <= BATCH_MAX
        if len(numbers) == 1:
            # It may be a full one: what nobody reads of an answer goes before the next one comes.
            found = [_kept(await self._single(method, params)) for method, params in calls]
        else:
            found = await self._several(calls)
        await self._wait_for_consensus(calls, found, own_asked=head in numbers and head > 0)
        answers = iter(found)
        parts = []
        for number in numbers:
            block, receipts = next(answers), next(answers)
            raw = next(answers) if self._tells_consensus else None
            certificate = next(answers) if self._tells_consensus and number > 1 else None
            parts.append((number, block, receipts, raw, certificate))
        own = next(answers, None)
        return [await self._complete(*part, own if part[0] == head else None) for part in parts]

    async def _several(self, calls: list[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The answers about several blocks; one by one where the batch as a whole is too large."""
        try:
            return [_kept(answer) for answer in await self._ask(*calls)]
        except JSONRPCError as error:
            if error.code != TOO_LARGE:
                raise Unavailable(f"the node refuses its blocks: {error.message}") from None
            return [_kept(await self._single(method, params)) for method, params in calls]

    async def call(self, *calls: tuple[str, Sequence[Any]]) -> list[Any]:
        """Return the answers to any calls; an exception stands for what was refused."""
        return await self._ask(*calls)

    async def _wait_for_consensus(
        self, calls: list[tuple[str, Sequence[Any]]], answers: list[Any], *, own_asked: bool
    ) -> None:
        """Put in what is said of consensus where the batch had no room for it, or where the node has it only now."""
        places = [place for place, (method, _) in enumerate(calls) if method.startswith("ibft_")]
        # The newest block's own certificate, the last call, is not waited for alone.
        needed = places[:-1] if own_asked else places
        for place in places:
            if is_too_large(answers[place]):
                answers[place] = await self._single(*calls[place])
        for pause_s in _CONSENSUS_PAUSES_S:
            if all(answers[place] is not None for place in needed):
                break
            await asyncio.sleep(pause_s)
            for place in places:
                if answers[place] is None:
                    answers[place] = await self._single(*calls[place])

    async def _complete(
        self, number: int, block: Any, receipts: Any, raw: Any, certificate: Any, own: Any
    ) -> FetchedBlock:
        where = f"block {number}"
        if is_too_large(block):
            block = _kept(await self._block_in_pieces(number))
        require(block)
        logs_missing = 0
        if is_too_large(receipts):
            receipts, logs_missing = await self._receipts_in_pieces(block, number)
            receipts = _kept(receipts)
        require(receipts)
        with told(where):
            if not (isinstance(block["transactions"], list) and isinstance(receipts, list)):
                raise TypeError(where)
            if len(receipts) != len(block["transactions"]):
                raise ValueError(where)
        calls, traces = await self._tracer.trees_of(number, block["transactions"], receipts)
        if self._tells_consensus:
            # Without them the block's decision and its parent's would be missing for ever.
            require(raw)
            if number > 1:
                require(certificate)
        with told(f"the consensus of {where}"):
            header = ConsensusHeader.decode(decode_data(raw)) if self._tells_consensus else None
            if header is not None and header.height != number:
                raise ValueError(where)
            return FetchedBlock(
                number=number,
                block=block,
                receipts=receipts,
                logs_missing=logs_missing,
                calls=calls,
                traces=traces,
                header=header,
                members=await self._members(header) if header is not None and number > 0 else (),
                parent_certificate=None if certificate is None else _certificate(certificate),
                # Another node's record of it does as well, once the next block has fixed one.
                own_certificate=_certificate(own) if isinstance(own, dict) else None,
            )

    async def _members(self, header: ConsensusHeader) -> tuple[Address, ...]:
        """The set that decides a block; asked for once as long as it stays the same."""
        found = self._sets.get(header.validators_hash)
        if found is None:
            (answer,) = await self._ask(
                ("ibft_getValidatorsByBlockNumber", (encode_quantity(header.height),))
            )
            require(answer)
            with told("its validators"):
                found = ValidatorSet.of_addresses(parse_address(text) for text in answer).addresses
            self._sets[header.validators_hash] = found
            if len(self._sets) > _SETS_REMEMBERED:
                self._sets.popitem(last=False)
        return found

    async def _block_in_pieces(self, number: int) -> Any:
        """A block whose transactions are too many for one answer."""
        block = await self._single("eth_getBlockByNumber", (encode_quantity(number), False))
        require(block)
        with told(f"block {number}"):
            count = len(block["transactions"])
        whole: list[Any] = []
        for start in range(0, count, RECEIPTS_MAX):
            indexes = range(start, min(count, start + RECEIPTS_MAX))
            answers = await self._each(
                [
                    (
                        "eth_getTransactionByBlockNumberAndIndex",
                        (encode_quantity(number), encode_quantity(index)),
                    )
                    for index in indexes
                ]
            )
            require(*answers)
            whole += answers
        return {**block, "transactions": whole}

    async def _receipts_in_pieces(self, block: Any, number: int) -> tuple[list[Any], int]:
        """Receipts that are too many for one answer; those with more logs than fit an answer come without."""
        found: list[Any] = []
        missing = 0
        with told(f"block {number}"):
            hashes = [one["hash"] for one in block["transactions"]]
        for start in range(0, len(hashes), RECEIPTS_MAX):
            answers = await self._each(
                [("eth_getTransactionReceipt", (one,)) for one in hashes[start : start + RECEIPTS_MAX]]
            )
            for offset, answer in enumerate(answers):
                if is_too_large(answer):
                    missing += 1
                    found.append(await self._receipt_without_logs(number, start + offset, len(hashes)))
                else:
                    require(answer)
                    found.append(answer)
        return found, missing

    async def _receipt_without_logs(self, number: int, index: int, count: int) -> Any:
        # Page 0 has the last transactions.
        page, place = divmod(count - 1 - index, _PAGE)
        answer = await self._single("ots_getBlockTransactions", (encode_quantity(number), page, _PAGE))
        require(answer)
        with told(f"receipts of block {number}"):
            receipts = answer["receipts"]
            receipt = receipts[len(receipts) - 1 - place]
            return {**receipt, "logs": []}

    async def _each(self, calls: list[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The answers of a batch; one by one where the batch is too large, so that only what is too large itself says so."""
        try:
            answers = await self._ask(*calls)
        except JSONRPCError as error:
            if error.code != TOO_LARGE:
                raise Unavailable(f"the node refuses its blocks: {error.message}") from None
            answers = [error] * len(calls)
        return [
            await self._single(*one) if is_too_large(answer) else answer
            for one, answer in zip(calls, answers, strict=True)
        ]

    async def _single(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return await self._rpc.call(method, *params)
        except JSONRPCError as error:
            return error

    async def _ask(self, *calls: tuple[str, Sequence[Any]]) -> list[Any]:
        answers = await self._rpc.batch(calls)
        for answer in answers:
            if isinstance(answer, NodeFault):
                raise answer
        return answers


def _kept(answer: Any) -> Any:
    """Return an answer with what is read of transactions, or of receipts; any other as it is. Raises Unavailable."""
    with told("its blocks"):
        match answer:
            case {"transactions": list() as transactions}:
                _keep(transactions, _OF_TRANSACTION)
            case [{"transactionHash": _}, *_]:
                for receipt in answer:
                    _keep(receipt["logs"], _OF_LOG)
                _keep(answer, _OF_RECEIPT)
            case _:
                pass
    return answer


def _keep(items: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    """Leave of each item what has these names; one after the other, so that there are never two of all."""
    for place, item in enumerate(items):
        items[place] = {name: item[name] for name in names if name in item}


def _certificate(answer: Any) -> Certificate:
    return Certificate.decode(decode_data(answer["encoded"]))
