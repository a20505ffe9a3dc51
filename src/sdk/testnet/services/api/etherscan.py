"""Etherscan's dialect, `/api?module=...&action=...`, as its clients expect it to the letter: always 200, all numbers as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from metanode.crypto.addresses import parse_address
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api.parts import Parts, read_hash
from sdk.testnet.services.queries import (
    Slice,
    addresses,
    blocks,
    contracts,
    moves,
    statistics,
    transactions,
)
from sdk.testnet.services.store.meanings import CallKind, TokenKind
from sdk.testnet.services.web.problems import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.types import ASGIApp

PAGE: Final = 100
REACH: Final = 10_000
"""`page` times `offset`, and the rows of one answer, as with Etherscan."""
_NUMBER_MAX: Final = 2**63 - 1

Parameters = "Mapping[str, str]"


class Refused(Exception):  # noqa: N818 - it is an answer
    """What is answered with status 0: the message, and a result that says why."""

    def __init__(self, result: Any, message: str = "NOTOK") -> None:
        super().__init__(message)
        self.result = result
        self.message = message


def limit_answer(headers: dict[str, str]) -> ASGIApp:
    """Return the answer to who asks too much, in the words that clients look for."""
    return JSONResponse(
        {"status": "0", "message": "NOTOK", "result": "Max rate limit reached"}, headers=headers
    )


async def answer_etherscan(request: Request) -> JSONResponse:
    """Answer GET and POST `/api`."""
    parts: Parts = request.app.state.parts
    given = dict(request.query_params)
    if request.method == "POST":
        form = await request.form(max_files=0, max_fields=100)
        given |= {name: value for name, value in form.items() if isinstance(value, str)}
    try:
        result = await _result(parts, given)
    except Refused as refusal:
        return _document("0", refusal.message, refusal.result)
    except InvalidInput as error:
        return _document("0", "NOTOK", f"Error! {error}"[:400])
    except Unavailable as error:
        return _document("0", "NOTOK", f"Error! {reason_of(error)}"[:400])
    return _document("1", "OK", result)


async def _result(parts: Parts, given: Mapping[str, str]) -> Any:
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
    action = _ACTIONS.get(name)
    if action is None:
        raise Refused("Error! Missing Or invalid Action name")

    def look() -> Any:
        with parts.store.look() as connection:
            return action(connection, given)

    return await run_in_threadpool(look)


async def _balance(parts: Parts, address: str, given: Mapping[str, str]) -> str:
    tag = given.get("tag", "latest")
    try:
        found = await parts.node.call("eth_getBalance", "0x" + parse_address(address).hex(), tag)
    except JSONRPCError as refusal:
        raise Refused(f"Error! {refusal.message}") from None
    return str(int(found, 16))


def _document(status: str, message: str, result: Any) -> JSONResponse:
    return JSONResponse({"status": status, "message": message, "result": result})


def _integer(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "") or str(default)
    if not (text.isascii() and text.isdecimal()) or len(text) > 20:
        raise Refused(f"Error! {name}: expected a number, found {text[:40]!r}")
    return min(int(text), _NUMBER_MAX)


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
        "last_block": _integer(given, "endblock", _NUMBER_MAX),
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
    inputs = transactions.inputs_of(connection, [(row.number, row.index) for row in page.items])
    hashes = {number: blocks.get_block(connection, number) for number in {row.number for row in page.items}}
    rows = []
    for row in page.items:
        block = hashes[row.number]
        rows.append(
            {
                "blockNumber": str(row.number),
                "blockHash": _hex(block.hash) if block else "",
                "timeStamp": str(row.timestamp),
                "hash": _hex(row.hash),
                "nonce": str(row.nonce),
                "transactionIndex": str(row.index),
                "from": _hex(row.sender.address),
                "to": _hex(row.recipient.address) if row.recipient else "",
                "value": str(row.value_wei),
                "gas": str(row.gas_limit),
                "gasPrice": str(row.gas_price_wei),
                "input": _hex(inputs.get((row.number, row.index), b"")),
                "methodId": _hex(row.method_id) if row.method_id else "0x",
                "functionName": "",
                "contractAddress": _hex(row.created.address) if row.created else "",
                "cumulativeGasUsed": str(row.cumulative_gas_used),
                "txreceipt_status": "1" if row.succeeded else "0",
                "gasUsed": str(row.gas_used),
                "confirmations": str(head - row.number + 1),
                "isError": "0" if row.succeeded else "1",
            }
        )
    return _rows(rows, "transactions")


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
        page = addresses.account_transfers_page(
            connection,
            _account(given),
            _slice(given),
            kinds=[kind],
            token=parse_address(contract, field="contractaddress") if contract else None,
            **_range(given),
        )
        head = _head(connection)
        return _rows([_transfer(connection, row, head) for row in page.items], "transactions")

    return list_transfers


def _transfer(connection: Connection, row: moves.TransferRow, head: int) -> dict[str, str]:
    of = transactions.get_transaction(connection, row.transaction_hash)
    block = blocks.get_block(connection, row.number)
    found = {
        "blockNumber": str(row.number),
        "blockHash": _hex(block.hash) if block else "",
        "timeStamp": str(row.timestamp),
        "hash": _hex(row.transaction_hash),
        "nonce": str(of.nonce) if of else "0",
        "from": _hex(row.sender.address),
        "to": _hex(row.recipient.address),
        "contractAddress": _hex(row.token.contract.address),
        "tokenName": row.token.name or "",
        "tokenSymbol": row.token.symbol or "",
        "transactionIndex": str(row.transaction_index),
        "gas": str(of.gas_limit) if of else "0",
        "gasPrice": str(of.gas_price_wei) if of else "0",
        "gasUsed": str(of.gas_used) if of else "0",
        "cumulativeGasUsed": str(of.cumulative_gas_used) if of else "0",
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
    page = blocks.list_blocks(connection, _slice(given), proposer=_account(given))
    return _rows(
        [
            {"blockNumber": str(row.number), "timeStamp": str(row.timestamp), "blockReward": "0"}
            for row in page.items
        ],
        "transactions",
    )


def _getabi(connection: Connection, given: Mapping[str, str]) -> Any:
    row = contracts.get_contract(connection, _account(given))
    if row is None or row.abi is None:
        raise Refused("Contract source code not verified")
    return row.abi


def _getsourcecode(connection: Connection, given: Mapping[str, str]) -> Any:
    row = contracts.get_contract(connection, _account(given))
    known = row is not None and row.abi is not None
    return [
        {
            "SourceCode": (row.standard_json or "") if row and known else "",
            "ABI": row.abi if row and known else "Contract source code not verified",
            "ContractName": (row.verified_name or "") if row and known else "",
            "CompilerVersion": (row.compiler_version or "") if row and known else "",
            "OptimizationUsed": "",
            "Runs": "",
            "ConstructorArguments": row.constructor_arguments.hex()
            if row and row.constructor_arguments
            else "",
            "EVMVersion": "Default",
            "Library": "",
            "LicenseType": "",
            "Proxy": "0",
            "Implementation": "",
            "SwarmSource": "",
        }
    ]


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
    page = addresses.account_logs(
        connection,
        _account(given),
        which,
        first_block=_integer(given, "fromblock", 0)
        if given.get("fromBlock") is None
        else _integer(given, "fromBlock", 0),
        last_block=_last_block(given),
        topics=topics,
    )
    rows = []
    for row in page.items:
        of = transactions.get_transaction(connection, row.transaction_hash)
        block = blocks.get_block(connection, row.number)
        rows.append(
            {
                "address": _hex(row.contract.address),
                "topics": [_hex(topic) for topic in row.topics],
                "data": _hex(row.data),
                "blockNumber": hex(row.number),
                "blockHash": _hex(block.hash) if block else "",
                "timeStamp": hex(row.timestamp),
                "gasPrice": hex(of.gas_price_wei) if of else "0x0",
                "gasUsed": hex(of.gas_used) if of else "0x0",
                "logIndex": hex(row.log_index),
                "transactionHash": _hex(row.transaction_hash),
                "transactionIndex": hex(row.transaction_index),
            }
        )
    if not rows:
        raise Refused([], "No records found")
    return rows


def _last_block(given: Mapping[str, str]) -> int:
    if given.get("toBlock", "latest") == "latest":
        return _NUMBER_MAX
    return _integer(given, "toBlock", _NUMBER_MAX)


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
    ("contract", "getcontractcreation"): _getcontractcreation,
    ("transaction", "gettxreceiptstatus"): _gettxreceiptstatus,
    ("transaction", "getstatus"): _getstatus,
    ("block", "getblocknobytime"): _getblocknobytime,
    ("block", "getblockcountdown"): _getblockcountdown,
    ("logs", "getlogs"): _getlogs,
}
