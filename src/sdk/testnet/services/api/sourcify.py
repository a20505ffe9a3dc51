"""Sourcify's API, version 2: sources sent in, jobs asked for, verified contracts looked up. Its errors have `customCode`, `message` and `errorId`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Route

from metanode.crypto.addresses import format_address, parse_address
from metanode.errors import InvalidInput, MetanodeError, Unavailable
from sdk.testnet.services.api.parts import LIMIT_MAX, Parts
from sdk.testnet.services.queries import Slice, addresses, contracts, transactions
from sdk.testnet.services.store.meanings import VerificationState
from sdk.testnet.services.verification.jobs import Job, get_job
from sdk.testnet.services.verification.submissions import Rejected, Submission, read_submission
from sdk.testnet.services.verification.taking import take_submission
from sdk.testnet.services.web.formatting import iso
from sdk.testnet.services.web.problems import reason_of, request_id_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from sdk.testnet.services.queries.contracts import ContractRow

RETRY_S: Final = 5
"""After which somebody may try again whom the database or a node has kept waiting."""
FIELDS: Final = (
    "abi",
    "compilation",
    "creationBytecode",
    "deployment",
    "metadata",
    "runtimeBytecode",
    "sources",
    "stdJsonInput",
)
"""What `fields` may ask for beside the match; `all` is all of them."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


class _Refused(Exception):  # noqa: N818 - it is an answer
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def sourcify_routes() -> list[Route]:
    """Return the routes below `/v2`."""
    return [
        Route(path, _answered(handler), methods=[method])
        for path, method, handler in (
            ("/v2/verify/{chain_id}/{address}", "POST", _verify),
            ("/v2/verify/metadata/{chain_id}/{address}", "POST", _verify_by_metadata),
            ("/v2/verify/{verification_id}", "GET", _status),
            ("/v2/contract/{chain_id}/{address}", "GET", _contract),
            ("/v2/contracts/{chain_id}", "GET", _contracts),
            # Where tools send people: of this dialect, and of Etherscan's.
            ("/repo-ui/{chain_id}/{address}", "GET", _contract_page),
            ("/verify-ui/jobs/{verification_id}", "GET", _job_page),
            ("/address/{address}", "GET", _contract_page),
        )
    ]


def _answered(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except _Refused as refusal:
            return _error(request, refusal.status, refusal.code, refusal.message)
        except Rejected as refusal:
            return _error(request, refusal.status, refusal.code, str(refusal))
        except InvalidInput as error:
            return _error(request, 400, "invalid_parameter", str(error)[:400])
        except Unavailable as error:
            return _error(request, 503, "internal_error", reason_of(error)[:400])
        except MetanodeError as error:
            return _error(request, 503, "internal_error", str(error)[:400])

    return answer


def _error(request: Request, status: int, code: str, message: str) -> Response:
    document = {"customCode": code, "message": message, "errorId": request_id_of(request)}
    again = {"retry-after": str(RETRY_S)} if status == 503 else {}
    return JSONResponse(document, status_code=status, headers={"cache-control": "no-store"} | again)


async def _verify(request: Request) -> Response:
    parts, address = _parts(request), _address(request)
    if parts.verifier is None:
        raise _Refused(503, "internal_error", "Contracts are not verified here.")
    body = await request.body()
    submission, transaction = await run_in_threadpool(_read, body)
    job_id = await take_submission(
        submission,
        address,
        verifier=parts.verifier,
        store=parts.store,
        node=parts.node,
        requester=requester_of(request),
        creation_transaction=transaction,
    )
    return JSONResponse({"verificationId": job_id}, status_code=202, headers={"cache-control": "no-store"})


async def _verify_by_metadata(_: Request) -> Response:
    raise _Refused(
        400,
        "invalid_parameter",
        "Send the standard JSON input to /v2/verify/{chainId}/{address}; metadata alone is not taken.",
    )


def _read(body: bytes) -> tuple[Submission, bytes | None]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Rejected(f"the body is no JSON: {error}", "invalid_json") from None
    if not isinstance(given, dict):
        raise Rejected(
            "expected an object with stdJsonInput, compilerVersion and contractIdentifier", "invalid_json"
        )
    for name in ("compilerVersion", "contractIdentifier"):
        if not isinstance(given.get(name), str):
            raise Rejected(f"{name}: expected a text", "missing_parameter")
    if "stdJsonInput" not in given:
        raise Rejected("stdJsonInput: missing", "missing_parameter")
    transaction = given.get("creationTransactionHash")
    if transaction is not None and not (isinstance(transaction, str) and _HASH.fullmatch(transaction)):
        raise Rejected("creationTransactionHash: expected 0x and 64 hexadecimal digits")
    submission = read_submission(
        given["stdJsonInput"],
        compiler_version=given["compilerVersion"],
        contract=given["contractIdentifier"],
    )
    return submission, None if transaction is None else bytes.fromhex(transaction[2:])


async def _status(request: Request) -> Response:
    parts, wanted = _parts(request), _verification_id(request)

    def look() -> tuple[Job, ContractRow | None]:
        with parts.store.look() as connection:
            job = get_job(connection, wanted)
            if job is None:
                raise _Refused(404, "job_not_found", f"There is no verification {wanted}, or it is long ago.")
            return job, contracts.get_contract(connection, job.address)

    job, row = await run_in_threadpool(look)
    return JSONResponse(_job_document(job, row, parts.config.chain_id), headers={"cache-control": "no-store"})


def _job_document(job: Job, row: ContractRow | None, chain_id: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "isJobCompleted": job.is_finished,
        "verificationId": job.id,
        "jobStartTime": iso(job.submitted_at),
        "contract": _matches(row, job.address, chain_id),
    }
    if job.finished_at is not None:
        found |= {
            "jobFinishTime": iso(job.finished_at),
            "compilationTime": str(max(0, job.finished_at - job.submitted_at) * 1_000),
        }
    if job.state is VerificationState.VERIFIED and job.result is not None:
        found["contract"] |= {
            "match": job.result["match"],
            "runtimeMatch": job.result["runtime_match"],
            "creationMatch": job.result["creation_match"],
        }
    if job.state is VerificationState.FAILED:
        found["error"] = {
            "customCode": job.error_code or "internal_error",
            "message": job.error_message or "",
            "errorId": job.id,
        }
    return found


def _matches(row: ContractRow | None, address: bytes, chain_id: int) -> dict[str, Any]:
    is_known = row is not None and row.match is not None
    return {
        "match": row.match if row and is_known else None,
        "creationMatch": row.creation_match if row and is_known else None,
        "runtimeMatch": row.runtime_match if row and is_known else None,
        "chainId": str(chain_id),
        "address": format_address(address),
    } | (
        {"verifiedAt": iso(row.verified_at), "matchId": f"{row.verified_at}-{row.account_id}"}
        if row is not None and row.verified_at is not None
        else {}
    )


async def _contract(request: Request) -> Response:
    parts, address = _parts(request), _address(request)
    chosen = _fields(request)

    def look() -> tuple[int, dict[str, Any]]:
        with parts.store.look() as connection:
            row = contracts.get_contract(connection, address, with_sources=bool(chosen))
            found = _matches(row, address, parts.config.chain_id)
            if row is None or row.match is None:
                return 404, found
            return 200, found | {name: _field(connection, row, name) for name in chosen}

    status, found = await run_in_threadpool(look)
    return JSONResponse(found, status_code=status)


def _fields(request: Request) -> list[str]:
    """The fields that a caller asks for; raises _Refused for unknown ones."""
    wanted = [one for one in request.query_params.get("fields", "").split(",") if one]
    omitted = [one for one in request.query_params.get("omit", "").split(",") if one]
    if wanted and omitted:
        raise _Refused(400, "invalid_parameter", "fields and omit can't both be given.")
    for one in (*wanted, *omitted):
        if one.partition(".")[0] not in {
            *FIELDS,
            "all",
            "match",
            "creationMatch",
            "runtimeMatch",
            "chainId",
            "address",
        }:
            raise _Refused(
                400, "field_not_found", f"There is no field {one[:60]!r}; there are {', '.join(FIELDS)}."
            )
    names = {one.partition(".")[0] for one in wanted}
    if "all" in names or omitted:
        return [one for one in FIELDS if one not in omitted]
    return [one for one in FIELDS if one in names]


def _field(connection: Connection, row: ContractRow, name: str) -> Any:
    given = json.loads(row.standard_json or "{}")
    match name:
        case "abi":
            return json.loads(row.abi or "[]")
        case "metadata":
            return None if row.metadata is None else json.loads(row.metadata)
        case "sources":
            return given.get("sources", {})
        case "stdJsonInput":
            return given
        case "compilation":
            return {
                "language": row.language,
                "compiler": "vyper" if row.language == "Vyper" else "solc",
                "compilerVersion": row.compiler_version,
                "compilerSettings": given.get("settings", {}),
                "name": row.verified_name,
                "fullyQualifiedName": f"{row.source_path}:{row.verified_name}",
            }
        case "deployment":
            return _deployment(connection, row)
        case "runtimeBytecode" | "creationBytecode":
            return _bytecode(row, name.removesuffix("Bytecode"))
        case _:
            raise AssertionError(name)


def _deployment(connection: Connection, row: ContractRow) -> dict[str, Any] | None:
    account = addresses.get_address(connection, row.contract.address)
    if account is None or account.creation_transaction is None:
        return None
    of = transactions.get_transaction(connection, account.creation_transaction)
    return {
        "transactionHash": f"0x{account.creation_transaction.hex()}",
        "blockNumber": None if of is None else str(of.number),
        "transactionIndex": None if of is None else str(of.index),
        "deployer": None if account.creator is None else format_address(account.creator.address),
    }


def _bytecode(row: ContractRow, kind: str) -> dict[str, Any] | None:
    """What differed and was allowed to, in Sourcify's words."""
    values = json.loads(row.details or "{}").get(kind)
    if values is None:
        return None
    found = {name: of for name, of in values.items() if of}
    if kind == "creation" and row.constructor_arguments:
        found["constructorArguments"] = f"0x{row.constructor_arguments.hex()}"
    return {"transformationValues": found}


async def _contracts(request: Request) -> Response:
    parts = _parts(request)
    _chain(request, parts)
    limit = request.query_params.get("limit", "100")
    if not (limit.isascii() and limit.isdecimal()) or len(limit) > 4 or not 1 <= int(limit) <= LIMIT_MAX:
        raise _Refused(400, "invalid_parameter", f"limit: expected 1 to {LIMIT_MAX}")
    order = request.query_params.get("sort", "desc")
    if order not in {"asc", "desc"}:
        raise _Refused(400, "invalid_parameter", "sort: expected asc or desc")
    after = request.query_params.get("afterMatchId") or None
    which = Slice(cursor=after, limit=int(limit), newest_first=order == "desc")

    def look() -> dict[str, Any]:
        with parts.store.look() as connection:
            page = contracts.list_contracts(connection, which, verified_only=True)
        return {"results": [_matches(row, row.contract.address, parts.config.chain_id) for row in page.items]}

    return JSONResponse(await run_in_threadpool(look))


async def _contract_page(request: Request) -> Response:
    parts, address = _parts(request), format_address(_address(request))
    if parts.config.explorer_url:
        return RedirectResponse(f"{parts.config.explorer_url}/address/{address}/contract")
    return RedirectResponse(f"/v2/contract/{parts.config.chain_id}/{address}?fields=all")


async def _job_page(request: Request) -> Response:
    parts, wanted = _parts(request), _verification_id(request)
    if parts.config.explorer_url:
        return RedirectResponse(f"{parts.config.explorer_url}/verification/{wanted}")
    return RedirectResponse(f"/v2/verify/{wanted}")


def requester_of(request: Request) -> str:
    """Return who asks, as the limits count: a key or a network."""
    allowance = getattr(request.state, "allowance", None)
    return "anybody" if allowance is None else allowance.who


def _parts(request: Request) -> Parts:
    found: Parts = request.app.state.parts
    return found


def _verification_id(request: Request) -> str:
    wanted: str = request.path_params["verification_id"].lower()
    if not _UUID.fullmatch(wanted):
        raise _Refused(
            400, "invalid_parameter", "verificationId: expected a UUID, as the submission was answered with."
        )
    return wanted


def _chain(request: Request, parts: Parts) -> None:
    if request.path_params.get("chain_id", str(parts.config.chain_id)) != str(parts.config.chain_id):
        raise _Refused(
            400,
            "unsupported_chain",
            f"This is chain {parts.config.chain_id}, not {request.path_params['chain_id'][:40]}.",
        )


def _address(request: Request) -> bytes:
    _chain(request, _parts(request))
    try:
        return parse_address(request.path_params["address"])
    except InvalidInput as error:
        raise _Refused(400, "invalid_parameter", str(error)) from None
