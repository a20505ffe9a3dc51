"""Blocks, transactions, and how blocks were decided."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Query, Response

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.answering import BY_HASH, BY_NUMBER
from sdk.testnet.services.api.parts import Given, Listed, found, read_address, read_hash
from sdk.testnet.services.queries import blocks, consensus, statistics, transactions, validators
from sdk.testnet.services.queries.paging import INTEGER_MAX
from sdk.testnet.services.told import told_data, told_object
from sdk.testnet.services.web.problems import NotFound

router = APIRouter(responses=parts.PROBLEMS)

BlockName = Annotated[
    str,
    Path(max_length=80, description="A number, a hash of 0x and 64 digits, or latest.", examples=["latest"]),
]
TransactionHash = Annotated[str, Path(max_length=80, description="0x and 64 digits.")]
TRACE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of one answer: it is tagged and packed as a whole."""


def _block(connection: Any, name: str) -> blocks.BlockRow:
    if name == "latest":
        return found(blocks.latest_block(connection), "block yet")
    if name.isascii() and name.isdecimal() and len(name) < 20:
        number = int(name)
        row = blocks.get_block(connection, number) if number <= INTEGER_MAX else None
        return found(row, f"block {name}")
    if name.startswith("0x"):
        return found(blocks.find_block(connection, read_hash(name, field="block")), f"block {name}")
    raise InvalidInput(f"block: expected a number, a hash or latest; found {name[:80]!r}")


def _keep(response: Response, name: str, row: blocks.BlockRow) -> None:
    """Say how long what is told of a block may be kept: its decision is certain with the next one, and a number is used again after a reset."""
    if row.is_canonical and name != "latest":
        response.headers["cache-control"] = BY_HASH if name.startswith("0x") else BY_NUMBER


def _transaction(connection: Any, text: str) -> transactions.TransactionRow:
    row = transactions.get_transaction(connection, read_hash(text))
    return found(row, f"finalized transaction {text}")


@router.get("/blocks", tags=["blocks"])
def list_blocks(
    api: Given,
    listed: Listed,
    proposer: Annotated[str | None, Query(max_length=60, description="Of this validator only.")] = None,
    late: Annotated[bool, Query(description="Only those decided after round 0.")] = False,
) -> d.ListOf[d.Block]:
    """Blocks, newest first."""
    who = None if proposer is None else read_address(proposer)
    with api.store.look() as connection:
        page = blocks.list_blocks(connection, listed.which, proposer=who, late_only=late)
        status = parts.known_status(connection)
        total = status.number + 1 if who is None and not late else None
        return d.ListOf[d.Block](**listed.answer(connection, page, answers.block, total))


@router.get("/blocks/{block}", tags=["blocks"])
def get_block(api: Given, block: BlockName, response: Response) -> d.Block:
    """One block."""
    with api.store.look() as connection:
        row = _block(connection, block)
    _keep(response, block, row)
    return answers.block(row)


@router.get("/blocks/{block}/transactions", tags=["blocks"])
def block_transactions(api: Given, listed: Listed, block: BlockName) -> d.ListOf[d.Transaction]:
    """A block's transactions."""
    with api.store.look() as connection:
        row = _block(connection, block)
        page = transactions.block_transactions(connection, row.number, listed.which)
        return d.ListOf[d.Transaction](
            **listed.answer(connection, page, answers.transaction, row.transaction_count)
        )


@router.get("/blocks/{block}/consensus", tags=["consensus"])
def block_consensus(api: Given, block: BlockName, response: Response) -> d.Consensus:
    """How a block was decided: seals, each verified, rounds that failed, vote, changes of the set."""
    with api.store.look() as connection:
        row = _block(connection, block)
        facts = consensus.block_consensus(connection, row.number)
    _keep(response, block, row)
    return d.Consensus(
        number=row.number,
        round=row.round,
        proposer=answers.maybe_party(row.proposer),
        is_canonical=row.is_canonical,
        seals=[answers.seal(one) for one in facts.seals],
        skipped=[answers.skip(one) for one in facts.skips],
        vote=None if facts.vote is None else answers.vote(facts.vote),
        set_changes=[answers.set_change(one) for one in facts.set_changes],
    )


@router.get("/transactions", tags=["transactions"])
def list_transactions(api: Given, listed: Listed) -> d.ListOf[d.Transaction]:
    """Finalized transactions, newest first."""
    with api.store.look() as connection:
        page = transactions.list_transactions(connection, listed.which)
        total = statistics.totals(connection).transactions if listed.with_total else None
        return d.ListOf[d.Transaction](**listed.answer(connection, page, answers.transaction, total))


@router.get("/transactions/pending", tags=["transactions"])
async def pending_transactions(api: Given) -> d.Pending:
    """What waits in the pool of a node; it is asked once a second for everybody."""
    pool = await api.pool.now()
    return d.Pending(
        executable=pool.executable, waiting=pool.queued, items=[answers.waiting(one) for one in pool.items]
    )


@router.post("/transactions", tags=["transactions"], status_code=202)
async def send_transaction(api: Given, body: d.RawTransaction) -> d.Sent:
    """Give the network a signed transaction; what it refuses is 400 with the node's reason."""
    try:
        sent = await api.node.call("eth_sendRawTransaction", body.raw)
    except JSONRPCError as refusal:
        raise InvalidInput(f"raw: the node refuses it: {refusal.message}") from None
    return d.Sent(hash=answers.hex_of(told_data(sent, length=32)))


@router.get("/transactions/{transaction}", tags=["transactions"])
def get_transaction(api: Given, transaction: TransactionHash, response: Response) -> d.Transaction:
    """One transaction with its input."""
    response.headers["cache-control"] = BY_HASH
    with api.store.look() as connection:
        row = _transaction(connection, transaction)
        return answers.transaction(row, transactions.transaction_input(connection, row))


@router.get("/transactions/{transaction}/logs", tags=["transactions"])
def transaction_logs(api: Given, listed: Listed, transaction: TransactionHash) -> d.ListOf[d.Log]:
    """A transaction's events."""
    with api.store.look() as connection:
        row = _transaction(connection, transaction)
        page = transactions.transaction_logs_page(connection, row, listed.which)
        return d.ListOf[d.Log](**listed.answer(connection, page, answers.log, row.log_count))


@router.get("/transactions/{transaction}/transfers", tags=["transactions"])
def transaction_transfers(api: Given, listed: Listed, transaction: TransactionHash) -> d.ListOf[d.Transfer]:
    """The tokens that a transaction moved."""
    with api.store.look() as connection:
        row = _transaction(connection, transaction)
        page = transactions.transaction_transfers_page(connection, row, listed.which)
        return d.ListOf[d.Transfer](**listed.answer(connection, page, answers.transfer, row.transfer_count))


@router.get("/transactions/{transaction}/internal", tags=["transactions"])
def transaction_internal(
    api: Given, listed: Listed, transaction: TransactionHash
) -> d.ListOf[d.InternalCall]:
    """Value that moved and contracts that were created inside a transaction."""
    with api.store.look() as connection:
        row = _transaction(connection, transaction)
        page = transactions.transaction_internal_calls_page(connection, row, listed.which)
        return d.ListOf[d.InternalCall](
            **listed.answer(connection, page, answers.internal_call, row.internal_count)
        )


@router.get("/transactions/{transaction}/trace", tags=["transactions"], response_model=dict[str, Any])
async def transaction_trace(api: Given, transaction: TransactionHash) -> Response:
    """The tree of calls, as debug_traceTransaction's callTracer tells it; made by a node now."""
    return await _traced(api, transaction, {"tracer": "callTracer"})


@router.get("/transactions/{transaction}/state-diff", tags=["transactions"], response_model=dict[str, Any])
async def transaction_state_diff(api: Given, transaction: TransactionHash) -> Response:
    """What the transaction changed of accounts, `pre` and `post`, as debug_traceTransaction's prestateTracer tells it; made by a node now."""
    return await _traced(api, transaction, {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})


async def _traced(api: parts.Parts, transaction: str, tracer: dict[str, Any]) -> Response:
    read_hash(transaction)
    try:
        found = await api.node.call("debug_traceTransaction", transaction, tracer)
    except JSONRPCError as refusal:
        raise NotFound(f"the node has no trace of it: {refusal.message}") from None
    body = await asyncio.to_thread(_encoded, found)
    if len(body) > TRACE_BYTES_MAX:
        raise InvalidInput(
            f"transaction: what is told of it has {len(body)} bytes, more than {TRACE_BYTES_MAX}; ask a node by debug_traceTransaction"
        )
    return Response(body, media_type="application/json", headers={"cache-control": BY_HASH})


def _encoded(found: Any) -> bytes:
    if not isinstance(found, dict):
        raise Unavailable("the node tells a trace in a way that is not understood")
    return orjson.dumps(found)


@router.get("/validators", tags=["consensus"])
def list_validators(
    api: Given, members: Annotated[bool, Query(description="Only those of the present set.")] = False
) -> list[d.Validator]:
    """Validators, of today first."""
    with api.store.look() as connection:
        return [
            answers.validator(row) for row in validators.list_validators(connection, members_only=members)
        ]


@router.get("/validators/history", tags=["consensus"])
def set_history(api: Given, listed: Listed) -> d.ListOf[d.SetChange]:
    """Who came and who went, newest first."""
    with api.store.look() as connection:
        page = consensus.list_set_changes(connection, listed.which)
        return d.ListOf[d.SetChange](**listed.answer(connection, page, answers.set_change))


@router.get("/validators/{address}", tags=["consensus"])
def get_validator(api: Given, address: Annotated[str, Path(max_length=60)]) -> d.Validator:
    """One validator."""
    with api.store.look() as connection:
        row = validators.get_validator(connection, read_address(address))
        return answers.validator(found(row, f"validator {address}"))


@router.get("/validators/{address}/performance", tags=["consensus"])
def validator_performance(
    api: Given,
    address: Annotated[str, Path(max_length=60)],
    count: Annotated[
        int,
        Query(alias="blocks", ge=1, le=validators.PERFORMANCE_BLOCKS_MAX, description="The last so many."),
    ] = 100,
) -> d.ValidatorPerformance:
    """What a validator did in the last blocks."""
    raw = read_address(address)
    with api.store.look() as connection:
        row = found(validators.performance(connection, raw, count), f"validator {address}")
    return d.ValidatorPerformance(
        validator=format_address(raw),
        first_block=row.first_block,
        last_block=row.last_block,
        proposed_count=row.proposed_count,
        sealed_count=row.sealed_count,
        certificate_count=row.certificate_count,
        seal_share=row.seal_share,
        missed_turns=row.missed_turns,
    )


@router.get("/consensus/rounds", tags=["consensus"])
def failed_rounds(
    api: Given,
    listed: Listed,
    validator: Annotated[str | None, Query(max_length=60, description="Whose turn it was.")] = None,
) -> d.ListOf[d.Skip]:
    """Rounds that did not decide, and whose turn they were."""
    who = None if validator is None else read_address(validator)
    with api.store.look() as connection:
        page = consensus.list_skips(connection, listed.which, validator=who)
        return d.ListOf[d.Skip](**listed.answer(connection, page, answers.skip))


@router.get("/consensus/votes", tags=["consensus"])
def list_votes(
    api: Given,
    listed: Listed,
    voter: Annotated[str | None, Query(max_length=60)] = None,
    subject: Annotated[str | None, Query(max_length=60)] = None,
) -> d.ListOf[d.Vote]:
    """Votes on membership, newest first."""
    by = None if voter is None else read_address(voter)
    on = None if subject is None else read_address(subject)
    with api.store.look() as connection:
        page = consensus.list_votes(connection, listed.which, voter=by, subject=on)
        return d.ListOf[d.Vote](**listed.answer(connection, page, answers.vote))


@router.get("/consensus/state", tags=["consensus"])
async def consensus_state(api: Given) -> dict[str, Any]:
    """What one node says of the open height, as ibft_getNetworkState tells it: nothing of where nodes are."""
    return told_object(await api.node.call("ibft_getNetworkState"))
