"""Etherscan's dialect, `/api?module=...&action=...`, as its clients expect it to the letter: always 200, all numbers as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api.etherscan_verification import (
    NOT_VERIFIED,
    Refused,
    check_verify_status,
    known_source,
    source_code_document,
    verify_source_code,
)
from sdk.testnet.services.api.limiting import first_of_each
from sdk.testnet.services.api.parts import Parts, read_hash
from sdk.testnet.services.api.sourcify import requester_of
from sdk.testnet.services.queries import (
    Slice,
    addresses,
    blocks,
    moves,
    statistics,
    tokens,
    transactions,
)
from sdk.testnet.services.queries.paging import INTEGER_MAX
from sdk.testnet.services.store.meanings import CallKind, TokenKind
from sdk.testnet.services.told import told_quantity
from sdk.testnet.services.verification.submissions import INPUT_BYTES_MAX
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from sdk.testnet.services.web.problems import Problem

PAGE: Final = 100
REACH: Final = 10_000
"""`page` times `offset`, and the rows of one answer, as with Etherscan."""
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of one answer; what is longer has to be asked for in parts."""
RANGE_BLOCKS_MAX: Final = 5_000
"""Whose logs are looked through when no address is given."""
FIELDS_MAX: Final = 100
"""Of a form: a verification has some thirty."""

Parameters = "Mapping[str, str]"


def limit_answer(headers: dict[str, str]) -> ASGIApp:
    """Return the answer to who asks too much, in the words that clients look for."""
    return JSONResponse(
        {"status": "0", "message": "NOTOK", "result": "Max rate limit reached"}, headers=headers
    )


def key_answer(refusal: Problem, headers: dict[str, str]) -> ASGIApp:
    """Return the answer to a key of ours that is none or not for this; clients look for how the first begins."""
    result = "Invalid API Key" if refusal.status == 401 else f"Error! {refusal.detail}"[:400]
    return JSONResponse({"status": "0", "message": "NOTOK", "result": result}, headers=headers)


async def answer_etherscan(request: Request) -> Response:
    """Answer GET and POST `/api`."""
    parts: Parts = request.app.state.parts
    given = dict(request.query_params)
    try:
        if request.method == "POST":
            # What stands in the address counts: by it the request has been paid for.
            given = await _form(request) | given
        result = await _result(parts, given, requester=requester_of(request))
    except Refused as refusal:
        return _document("0", refusal.message, refusal.result)
    except InvalidInput as error:
        return _document("0", "NOTOK", f"Error! {error}"[:400])
    except Unavailable as error:
        return _document("0", "NOTOK", f"Error! {reason_of(error)}"[:400])
    if isinstance(result, bytes):
        return Response(b'{"status":"1","message":"OK","result":%b}' % result, media_type="application/json")
    return _document("1", "OK", result)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; megabytes of sources are read on a thread. Raises Refused."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        form = await request.form(max_files=0, max_fields=FIELDS_MAX, max_part_size=INPUT_BYTES_MAX)
        return {name: value for name, value in form.items() if isinstance(value, str)}
    body = await request.body()
    try:
        return first_of_each(
            await run_in_threadpool(
                parse_qsl, body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX
            )
        )
    except ValueError:
        raise Refused(f"Error! expected a form in UTF-8 with at most {FIELDS_MAX} fields") from None


async def _result(parts: Parts, given: Mapping[str, str], *, requester: str) -> Any:
    chain_id = given.get("chainid")
    if chain_id is not None and chain_id != str(parts.config.chain_id):
        raise Refused(f"Error! chainid: this is chain {parts.config.chain_id}")
    name = (given.get("module", "").lower(), given.get("action", "").lower())
    if name == ("account", "balance"):
        return await _balance(parts, given.get("address", ""), given)
    if name == ("account", "balancemulti"):
        wanted = given.get("address", "").split(",")
        if len(wanted) > 20:
            raise Refused("Error! at most 20 addresses")
        return [{"account": one, "balance": await _balance(parts, one, given)} for one in wanted]
    if name == ("contract", "verifysourcecode"):
        return await verify_source_code(parts, given, requester=requester)
    action = _ACTIONS.get(name)
    if action is None:
        raise Refused("Error! Missing Or invalid Action name")

    def look() -> bytes:
        with parts.store.look() as connection:
            result = action(connection, given)
        # Encoded here: ten thousand rows take the event loop's time otherwise.
        body = orjson.dumps(result)
        if len(body) > ANSWER_BYTES_MAX:
            raise Refused(
                f"Error! the answer has over {ANSWER_BYTES_MAX} bytes; ask for fewer (page, offset)"
            )
        return body

    return await run_in_threadpool(look)


async def _balance(parts: Parts, address: str, given: Mapping[str, str]) -> str:
    tag = given.get("tag", "latest")
    try:
        found = await parts.node.call("eth_getBalance", "0x" + parse_address(address).hex(), tag)
    except JSONRPCError as refusal:
        raise Refused(f"Error! {refusal.message}") from None
    return str(told_quantity(found))


def _document(status: str, message: str, result: Any) -> JSONResponse:
    return JSONResponse({"status": status, "message": message, "result": result})


def _integer(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "") or str(default)
    if not (text.isascii() and text.isdecimal()) or len(text) > 20:
        raise Refused(f"Error! {name}: expected a number, found {text[:40]!r}")
    return min(int(text), INTEGER_MAX)


def _slice(given: Mapping[str, str]) -> Slice:
    page, offset = (
        max(1, _integer(given, "page", 1)),
        _integer(given, "offset", PAGE if "page" in given else REACH),
    )
    if offset == 0:
        offset = REACH
    if page * offset > REACH:
        raise Refused(
            None, f"Result window is too large, PageNo x Offset size must be less than or equal to {REACH}"
        )
    return Slice(limit=offset, skip=(page - 1) * offset, newest_first=given.get("sort", "asc") == "desc")


def _range(given: Mapping[str, str]) -> dict[str, int]:
    return {
        "first_block": _integer(given, "startblock", 0),
        "last_block": _integer(given, "endblock", INTEGER_MAX),
    }


def _rows(rows: list[dict[str, str]], what: str) -> list[dict[str, str]]:
    if not rows:
        raise Refused([], f"No {what} found")
    return rows


def _head(connection: Connection) -> int:
    status = statistics.index_status(connection)
    return status.number if status else 0


def _account(given: Mapping[str, str]) -> bytes:
    try:
        return parse_address(given.get("address", ""))
    except InvalidInput:
        raise Refused("Error! Invalid address format") from None


def _txlist(connection: Connection, given: Mapping[str, str]) -> Any:
    page = transactions.account_transactions_page(connection, _account(given), _slice(given), **_range(given))
    head = _head(connection)
    places = [(row.number, row.index) for row in page.items]
    inputs = transactions.inputs_of(connection, places, bytes_max=ANSWER_BYTES_MAX // 2)
    return _rows(
        [_transaction(row, inputs.get((row.number, row.index), b""), head) for row in page.items],
        "transactions",
    )


def _transaction(row: transactions.TransactionRow, data: bytes, head: int) -> dict[str, str]:
    return {
        "blockNumber": str(row.number),
        "blockHash": _hex(row.block_hash),
        "timeStamp": str(row.timestamp),
        "hash": _hex(row.hash),
        "nonce": str(row.nonce),
        "transactionIndex": str(row.index),
        "from": _hex(row.sender.address),
        "to": _hex(row.recipient.address) if row.recipient else "",
        "value": str(row.value_wei),
        "gas": str(row.gas_limit),
        "gasPrice": str(row.gas_price_wei),
        "input": _hex(data),
        "methodId": _hex(row.method_id) if row.method_id else "0x",
        "functionName": "",
        "contractAddress": _hex(row.created.address) if row.created else "",
        "cumulativeGasUsed": str(row.cumulative_gas_used),
        "txreceipt_status": "1" if row.succeeded else "0",
        "gasUsed": str(row.gas_used),
        "confirmations": str(head - row.number + 1),
        "isError": "0" if row.succeeded else "1",
    }


def _internal(row: moves.InternalRow) -> dict[str, str]:
    kinds = {
        CallKind.TRANSFER: "call",
        CallKind.SELF_DESTRUCT: "suicide",
        CallKind.CREATE: "create",
        CallKind.CREATE2: "create2",
    }
    creates = row.kind in {CallKind.CREATE, CallKind.CREATE2}
    to = _hex(row.recipient.address) if row.recipient else ""
    return {
        "blockNumber": str(row.number),
        "timeStamp": str(row.timestamp),
        "hash": _hex(row.transaction_hash),
        "from": _hex(row.sender.address),
        "to": "" if creates else to,
        "value": str(row.value_wei),
        "contractAddress": to if creates else "",
        "input": "",
        "type": kinds[row.kind],
        "gas": "0",
        "gasUsed": "0",
        "traceId": row.trace_path.replace(".", "_"),
        "isError": "0" if row.error is None else "1",
        "errCode": row.error or "",
    }


def _txlistinternal(connection: Connection, given: Mapping[str, str]) -> Any:
    if given.get("txhash"):
        row = transactions.get_transaction(connection, read_hash(given["txhash"], field="txhash"))
        found = transactions.transaction_internal_calls(connection, row) if row else ()
    else:
        found = addresses.account_internal_calls_page(
            connection, _account(given), _slice(given), **_range(given)
        ).items
    return _rows([_internal(one) for one in found], "transactions")


def _transfers(kind: TokenKind) -> Callable[[Connection, Mapping[str, str]], Any]:
    def list_transfers(connection: Connection, given: Mapping[str, str]) -> Any:
        contract = given.get("contractaddress")
        token = parse_address(contract, field="contractaddress") if contract else None
        if token is not None and not given.get("address"):
            page = tokens.token_transfers(connection, token, _slice(given), kind=kind, **_range(given))
        else:
            page = addresses.account_transfers_page(
                connection, _account(given), _slice(given), kinds=[kind], token=token, **_range(given)
            )
        head = _head(connection)
        return _rows([_transfer(row, head) for row in page.items], "transactions")

    return list_transfers


def _transfer(row: moves.TransferRow, head: int) -> dict[str, str]:
    found = {
        "blockNumber": str(row.number),
        "blockHash": _hex(row.source.block_hash),
        "timeStamp": str(row.timestamp),
        "hash": _hex(row.transaction_hash),
        "nonce": str(row.source.nonce),
        "from": _hex(row.sender.address),
        "to": _hex(row.recipient.address),
        "contractAddress": _hex(row.token.contract.address),
        "tokenName": row.token.name or "",
        "tokenSymbol": row.token.symbol or "",
        "transactionIndex": str(row.transaction_index),
        "gas": str(row.source.gas_limit),
        "gasPrice": str(row.source.gas_price_wei),
        "gasUsed": str(row.source.gas_used),
        "cumulativeGasUsed": str(row.source.cumulative_gas_used),
        "input": "deprecated",
        "confirmations": str(head - row.number + 1),
    }
    if row.token_number is None:
        found |= {"value": str(row.amount), "tokenDecimal": str(row.token.decimals or 0)}
    else:
        found |= {"tokenID": str(row.token_number), "tokenDecimal": str(row.token.decimals or 0)}
        if row.token.kind is TokenKind.ERC1155:
            found |= {"tokenValue": str(row.amount)}
    return found


def _getminedblocks(connection: Connection, given: Mapping[str, str]) -> Any:
    proposer = _account(given)
    rows = blocks.list_blocks(connection, _slice(given), proposer=proposer).items
    paid = {}
    if rows:
        numbers = [row.number for row in rows]
        paid = blocks.rewards_in(connection, proposer, min(numbers), max(numbers))
    return _rows(
        [
            {
                "blockNumber": str(row.number),
                "timeStamp": str(row.timestamp),
                # What senders paid over the base fee, and what the chain paid for the block.
                "blockReward": str(row.fees_wei - row.burnt_wei + paid.get(row.number, 0) * 10**9),
            }
            for row in rows
        ],
        "transactions",
    )


def _getabi(connection: Connection, given: Mapping[str, str]) -> Any:
    row, twin = known_source(connection, _account(given))
    known = twin or row
    if known is None or known.abi is None:
        raise Refused(NOT_VERIFIED)
    return known.abi


def _getsourcecode(connection: Connection, given: Mapping[str, str]) -> Any:
    return [source_code_document(*known_source(connection, _account(given)))]


def _getcontractcreation(connection: Connection, given: Mapping[str, str]) -> Any:
    wanted = given.get("contractaddresses", "").split(",")
    if len(wanted) > 5:
        raise Refused("Error! at most 5 addresses")
    rows = []
    for text in wanted:
        row = addresses.get_address(connection, parse_address(text, field="contractaddresses"))
        if row is not None and row.creator is not None and row.creation_transaction is not None:
            of = transactions.get_transaction(connection, row.creation_transaction)
            rows.append(
                {
                    "contractAddress": _hex(row.address),
                    "contractCreator": _hex(row.creator.address),
                    "txHash": _hex(row.creation_transaction),
                    "blockNumber": str(of.number) if of else "",
                    "timestamp": str(of.timestamp) if of else "",
                    "contractFactory": "",
                    "creationBytecode": "",
                }
            )
    return _rows(rows, "data")


def _gettxreceiptstatus(connection: Connection, given: Mapping[str, str]) -> Any:
    row = transactions.get_transaction(connection, read_hash(given.get("txhash", ""), field="txhash"))
    return {"status": "" if row is None else "1" if row.succeeded else "0"}


def _getstatus(connection: Connection, given: Mapping[str, str]) -> Any:
    row = transactions.get_transaction(connection, read_hash(given.get("txhash", ""), field="txhash"))
    failed = row is not None and not row.succeeded
    return {"isError": "1" if failed else "0", "errDescription": "execution reverted" if failed else ""}


def _getblocknobytime(connection: Connection, given: Mapping[str, str]) -> Any:
    closest = given.get("closest", "before")
    if closest not in {"before", "after"}:
        raise Refused("Error! closest: expected before or after")
    row = blocks.block_at(connection, _integer(given, "timestamp", 0), before=closest == "before")
    if row is None:
        raise Refused("Error! No closest block found")
    return str(row.number)


def _getblockcountdown(connection: Connection, given: Mapping[str, str]) -> Any:
    wanted, newest = _integer(given, "blockno", 0), blocks.latest_block(connection)
    if newest is None or wanted <= newest.number:
        raise Refused("Error! Block number already pass")
    earlier = blocks.get_block(connection, max(0, newest.number - 100))
    assert earlier is not None
    seconds = (newest.timestamp - earlier.timestamp) / max(1, newest.number - earlier.number)
    left = wanted - newest.number
    return {
        "CurrentBlock": str(newest.number),
        "CountdownBlock": str(wanted),
        "RemainingBlock": str(left),
        "EstimateTimeInSec": f"{left * seconds:.1f}",
    }


def _getlogs(connection: Connection, given: Mapping[str, str]) -> Any:
    topics = [
        read_hash(given[f"topic{place}"], field=f"topic{place}") if given.get(f"topic{place}") else None
        for place in range(4)
    ]
    which = _slice({**given, "offset": given.get("offset", "1000")})
    first, last = _integer(given, "fromBlock" if "fromBlock" in given else "fromblock", 0), _last_block(given)
    address = _account(given) if given.get("address") else None
    last = min(last, _head(connection))
    if address is None and last - first >= RANGE_BLOCKS_MAX:
        raise Refused(f"Error! without an address at most {RANGE_BLOCKS_MAX} blocks: fromBlock to toBlock")
    page = addresses.account_logs(
        connection,
        address,
        which,
        first_block=first,
        last_block=last,
        topics=topics,
        any_of_topics=_is_any(given),
    )
    if len(page.items) < which.limit and page.next_cursor is not None:
        # Who counts pages by offset would miss what is left out.
        raise Refused("Error! the data of these logs is too long for one answer; ask for fewer (offset)")
    if not page.items:
        raise Refused([], "No records found")
    return [
        {
            "address": _hex(row.contract.address),
            "topics": [_hex(topic) for topic in row.topics],
            "data": _hex(row.data),
            "blockNumber": hex(row.number),
            "blockHash": _hex(row.source.block_hash),
            "timeStamp": hex(row.timestamp),
            "gasPrice": hex(row.source.gas_price_wei),
            "gasUsed": hex(row.source.gas_used),
            "logIndex": hex(row.log_index),
            "transactionHash": _hex(row.transaction_hash),
            "transactionIndex": hex(row.transaction_index),
        }
        for row in page.items
    ]


def _is_any(given: Mapping[str, str]) -> bool:
    """Whether one of the topics is enough; what mixes both is refused."""
    said = {
        value.lower() for name, value in given.items() if name.startswith("topic") and name.endswith("_opr")
    }
    if said - {"and", "or"} or len(said) > 1:
        raise Refused("Error! topicX_Y_opr: expected and or or, the same for all topics")
    return said == {"or"}


def _last_block(given: Mapping[str, str]) -> int:
    if given.get("toBlock", "latest") == "latest":
        return INTEGER_MAX
    return _integer(given, "toBlock", INTEGER_MAX)


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


_ACTIONS: Final[dict[tuple[str, str], Callable[[Any, Any], Any]]] = {
    ("account", "txlist"): _txlist,
    ("account", "txlistinternal"): _txlistinternal,
    ("account", "tokentx"): _transfers(TokenKind.ERC20),
    ("account", "tokennfttx"): _transfers(TokenKind.ERC721),
    ("account", "token1155tx"): _transfers(TokenKind.ERC1155),
    ("account", "getminedblocks"): _getminedblocks,
    ("contract", "getabi"): _getabi,
    ("contract", "getsourcecode"): _getsourcecode,
    ("contract", "checkverifystatus"): check_verify_status,
    ("contract", "getcontractcreation"): _getcontractcreation,
    ("transaction", "gettxreceiptstatus"): _gettxreceiptstatus,
    ("transaction", "getstatus"): _getstatus,
    ("block", "getblocknobytime"): _getblocknobytime,
    ("block", "getblockcountdown"): _getblockcountdown,
    ("logs", "getlogs"): _getlogs,
}
