"""What an indexer asks a node, and what it makes of the answers. Nothing the node says is believed before `rows` has read it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from metanode.chain.certificate import Certificate
from metanode.chain.header import ConsensusHeader
from metanode.chain.validators import ValidatorSet
from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from metanode.primitives.hexadecimal import decode_data, decode_quantity, encode_quantity
from metanode.rpc.errors import JSONRPCError, MethodNotFound, NodeFault
from sdk.testnet.services.indexer.fetched import FetchedBlock, Identity
from sdk.testnet.services.store.meanings import Traces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from metanode.primitives.types import Address
    from metanode.rpc.client import JSONRPCClient

BATCH_MAX: Final = 100
"""Calls of one batch: a node refuses longer ones."""
CALLS_OF_A_BLOCK: Final = 4
BLOCKS_MAX: Final = (BATCH_MAX - 1) // CALLS_OF_A_BLOCK
"""Of one group; the one call left is for the certificate of the newest block."""
TRANSACTIONS_MAX: Final = 1_000
"""Of one group of several blocks: their transactions and receipts are some 2 MB of JSON."""
RECEIPTS_MAX: Final = 50
"""Asked for in one batch when a block's are too many for one answer."""
_PAGE: Final = 25
"""Of `ots_getBlockTransactions`, the node's limit."""
_TOO_LARGE: Final = -32003
_CONSENSUS_PAUSES_S: Final = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""A node announces blocks a moment before it tells how they were decided; it is asked again after these pauses, then its answer is refused."""
_PLAIN_TRANSFER_GAS: Final = "0x5208"
_SETS_REMEMBERED: Final = 16
_TRACER: Final = {"tracer": "callTracer", "timeout": "20s"}


class ChainNode:
    """One node, asked in batches. Raises Unavailable whenever it does not answer, or not with what was asked."""

    def __init__(self, rpc: JSONRPCClient) -> None:
        self._rpc = rpc
        self._tells_consensus = True
        self._tells_traces = True
        self._sets: OrderedDict[bytes, tuple[Address, ...]] = OrderedDict()

    async def identity(self) -> Identity:
        """Return which chain it is of."""
        answers = await self._ask(
            ("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False)), ("ibft_getRawHeader", ("0x0",))
        )
        chain_id, genesis, raw = answers
        refuse(chain_id, genesis)
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
        refuse(number)
        with told("its head"):
            return decode_quantity(number, bits=63)

    async def groups(self, first: int, last: int) -> list[range]:
        """Cut blocks `first` to `last` (at most BATCH_MAX) into groups that are fetched and written at once."""
        numbers = range(first, last + 1)
        assert 0 < len(numbers) <= BATCH_MAX
        answers = await self._ask(
            *(("eth_getBlockTransactionCountByNumber", (encode_quantity(n),)) for n in numbers)
        )
        refuse(*answers)
        found: list[range] = []
        start, weight = first, 0
        with told("its blocks' sizes"):
            for number, answer in zip(numbers, answers, strict=True):
                count = decode_quantity(answer, bits=31)
                if number > start and (number - start == BLOCKS_MAX or weight + count > TRANSACTIONS_MAX):
                    found.append(range(start, number))
                    start, weight = number, 0
                weight += count
        found.append(range(start, last + 1))
        return found

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
        try:
            found = await self._ask(*calls)
        except JSONRPCError as error:
            if error.code != _TOO_LARGE:
                raise Unavailable(f"the node refuses its blocks: {error.message}") from None
            # All of it is asked for again, one by one.
            found = [await self._single(method, params) for method, params in calls]
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
            block = await self._block_in_pieces(number)
        refuse(block)
        logs_missing = 0
        if is_too_large(receipts):
            receipts, logs_missing = await self._receipts_in_pieces(block, number)
        refuse(receipts)
        with told(where):
            if not (isinstance(block["transactions"], list) and isinstance(receipts, list)):
                raise TypeError(where)
            if len(receipts) != len(block["transactions"]):
                raise ValueError(where)
            needed = [one["hash"] for one in _that_ran_code(block["transactions"], receipts)]
        calls, traces = await self._traces(number, block["transactions"], needed)
        if self._tells_consensus:
            # Without them the block's decision and its parent's would be missing for ever.
            refuse(raw)
            if number > 1:
                refuse(certificate)
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
            refuse(answer)
            with told("its validators"):
                found = ValidatorSet.of_addresses(parse_address(text) for text in answer).addresses
            self._sets[header.validators_hash] = found
            if len(self._sets) > _SETS_REMEMBERED:
                self._sets.popitem(last=False)
        return found

    async def _traces(
        self, number: int, transactions: list[Any], needed: list[str]
    ) -> tuple[list[dict[str, Any] | None], Traces]:
        if not needed:
            return [], Traces.NOT_NEEDED
        if not self._tells_traces:
            return [None] * len(transactions), Traces.UNAVAILABLE
        answer = await self._single("debug_traceBlockByNumber", (encode_quantity(number), _TRACER))
        if isinstance(answer, MethodNotFound):
            self._tells_traces = False
        with told(f"the traces of block {number}"):
            if isinstance(answer, list) and len(answer) == len(transactions):
                return [_tree(entry.get("result")) for entry in answer], Traces.INDEXED
            if not is_too_large(answer):
                return [None] * len(transactions), Traces.UNAVAILABLE
            # One by one: a transaction's own trace may still be too long, and is then missing alone.
            found = {one: await self._single("debug_traceTransaction", (one, _TRACER)) for one in needed}
            trees = [_tree(found.get(one["hash"])) for one in transactions]
            missing = any(_tree(answer) is None for answer in found.values())
        return trees, Traces.UNAVAILABLE if missing else Traces.INDEXED

    async def _block_in_pieces(self, number: int) -> Any:
        """A block whose transactions are too many for one answer."""
        block = await self._single("eth_getBlockByNumber", (encode_quantity(number), False))
        refuse(block)
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
            refuse(*answers)
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
                    refuse(answer)
                    found.append(answer)
        return found, missing

    async def _receipt_without_logs(self, number: int, index: int, count: int) -> Any:
        # Page 0 has the last transactions.
        page, place = divmod(count - 1 - index, _PAGE)
        answer = await self._single("ots_getBlockTransactions", (encode_quantity(number), page, _PAGE))
        refuse(answer)
        with told(f"receipts of block {number}"):
            receipts = answer["receipts"]
            receipt = receipts[len(receipts) - 1 - place]
            return {**receipt, "logs": []}

    async def _each(self, calls: list[tuple[str, Sequence[Any]]]) -> list[Any]:
        """The answers of a batch; one by one where the batch is too large, so that only what is too large itself says so."""
        try:
            answers = await self._ask(*calls)
        except JSONRPCError as error:
            if error.code != _TOO_LARGE:
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


class told:  # noqa: N801 - reads as a sentence: with told("its head")
    """What a node tells of something is read here; what can't be read is the node's fault, and is asked for again."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(
            error,
            KeyError | TypeError | ValueError | IndexError | OverflowError | AttributeError | InvalidInput,
        ):
            raise Unavailable(
                f"the node tells {self._what} in a way that is not understood: {type(error).__name__}: {error!s:.200}"
            ) from error


def is_too_large(answer: Any) -> bool:
    """Tell whether the node could not say it in one answer."""
    return isinstance(answer, JSONRPCError) and answer.code == _TOO_LARGE


def refuse(*answers: Any) -> None:
    """Raise Unavailable where a node refused what an indexer has to know, or knows nothing of it."""
    for answer in answers:
        if isinstance(answer, JSONRPCError):
            raise Unavailable(f"the node refuses what an indexer has to know: {answer.message}")
        if answer is None:
            raise Unavailable(
                "the node does not have what it is asked for: its chain is shorter than it said"
            )


def _that_ran_code(transactions: list[Any], receipts: list[Any]) -> list[Any]:
    """Those that are more than a plain transfer: code costs gas, and so does input."""
    return [
        transaction
        for transaction, receipt in zip(transactions, receipts, strict=True)
        if receipt["gasUsed"] != _PLAIN_TRANSFER_GAS
        or transaction["input"] != "0x"
        or transaction["to"] is None
    ]


def _tree(answer: Any) -> dict[str, Any] | None:
    return answer if isinstance(answer, dict) and "type" in answer else None


def _certificate(answer: Any) -> Certificate:
    return Certificate.decode(decode_data(answer["encoded"]))
