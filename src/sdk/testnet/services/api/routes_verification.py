"""Verification in the API's own words: sources sent in, a job that is asked for, the sources of a contract. The work is `services.verification`'s."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from metanode.crypto.addresses import format_address
from metanode.errors import InvalidInput
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents_verification as d
from sdk.testnet.services.api.answering import OWN
from sdk.testnet.services.api.parts import Given, found, read_address
from sdk.testnet.services.api.routes_accounts import AddressText
from sdk.testnet.services.api.sourcify import requester_of
from sdk.testnet.services.queries import contracts
from sdk.testnet.services.verification.jobs import Job, get_job, place_in_queue
from sdk.testnet.services.verification.submissions import Rejected, Submission, read_submission
from sdk.testnet.services.verification.taking import take_submission
from sdk.testnet.services.web.problems import NotFound

if TYPE_CHECKING:
    from sqlalchemy import Connection

router = APIRouter(responses=parts.PROBLEMS)

_TAKES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": d.VerificationRequest.model_json_schema()}},
    }
}
"""The body is megabytes: it is read on a thread, and described here."""
_REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    409: parts.PROBLEMS[400] | {"description": "The contract's sources are known exactly."},
    413: parts.PROBLEMS[400] | {"description": "The body is too long."},
}
_FIELDS: Final = {
    "stdJsonInput": "standard_json",
    "contractIdentifier": "contract",
    "compilerVersion": "compiler_version",
}
"""Sourcify's names of what is sent, and ours."""
JobId = Annotated[
    str,
    Path(
        pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="As the submission was answered."
    ),
]


@router.post(
    "/contracts/{address}/verifications",
    tags=["verification"],
    status_code=202,
    openapi_extra=_TAKES,
    responses=_REFUSED,
)
async def verify_contract(
    api: Given, request: Request, response: Response, address: AddressText
) -> d.VerificationJob:
    """Send sources of a contract. They are compiled when their turn comes; `Location` is where to ask what came of it."""
    if api.verifier is None:
        raise NotFound("contracts are not verified here", "The operator has not enabled it.")
    raw = read_address(address)
    submission, transaction = await asyncio.to_thread(_read, await request.body())
    try:
        job_id = await take_submission(
            submission,
            raw,
            verifier=api.verifier,
            store=api.store,
            node=api.node,
            requester=requester_of(request),
            creation_transaction=transaction,
        )
    except JSONRPCError as refusal:
        raise InvalidInput(f"the node refuses to tell the code: {refusal.message}") from None
    response.headers["location"] = f"{api.config.public_url}/api/v1/verifications/{job_id}"
    response.headers["cache-control"] = OWN
    return await asyncio.to_thread(_look, api, job_id)


@router.get("/verifications/{verification}", tags=["verification"])
def get_verification(api: Given, response: Response, verification: JobId) -> d.VerificationJob:
    """What became of sources that were sent in; the newest 2,000 are known. Ask every second or two until `is_finished`."""
    response.headers["cache-control"] = OWN
    return _look(api, verification)


@router.get("/contracts/{address}/source", tags=["contracts"])
def contract_source(api: Given, address: AddressText) -> d.ContractSource:
    """Sources and settings of a verified contract; ABI: see `abi`."""
    raw = read_address(address)
    with api.store.look() as connection:
        row = found(contracts.get_contract(connection, raw, with_sources=True), f"contract {address}")
        if row.match is None:
            twin = contracts.verified_twin(connection, row.code_hash)
            same = "" if twin is None else format_address(twin.contract.address)
            raise NotFound(
                f"there is no verified source of {address} in the index",
                f"{same} has the same code, and is verified." if same else "",
            )
    return d.ContractSource(
        contract=answers.party(row.contract),
        match=row.match,
        runtime_match=row.runtime_match,
        creation_match=row.creation_match,
        verified_at=answers.time_of(row.verified_at or 0),
        verified_name=row.verified_name or "",
        source_path=row.source_path,
        compiler_version=row.compiler_version or "",
        language=row.language or "",
        constructor_arguments=(
            None if row.constructor_arguments is None else answers.hex_of(row.constructor_arguments)
        ),
        standard_json=json.loads(row.standard_json or "{}"),
        metadata=None if row.metadata is None else json.loads(row.metadata),
    )


def _read(body: bytes) -> tuple[Submission, bytes | None]:
    """Check a body; raises Rejected, or RequestValidationError that names the fields."""
    try:
        given = d.VerificationRequest.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        told = {"type": "json_invalid", "loc": ("body",), "msg": f"expected JSON: {error}"}
        raise RequestValidationError([told]) from None
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong]) from None
    try:
        submission = read_submission(
            given.standard_json, compiler_version=given.compiler_version, contract=given.contract
        )
    except Rejected as refused:
        words = str(refused)
        for other, own in _FIELDS.items():
            words = words.replace(other, own)
        raise Rejected(words, refused.code, refused.status) from None
    transaction = given.creation_transaction
    return submission, None if transaction is None else bytes.fromhex(transaction[2:])


def _look(api: parts.Parts, job_id: str) -> d.VerificationJob:
    with api.store.look() as connection:
        job = _job(connection, job_id)
        return _document(job, 0 if job.is_finished else place_in_queue(connection, job))


def _job(connection: Connection, job_id: str) -> Job:
    job = get_job(connection, job_id)
    if job is None:
        raise NotFound(f"there is no verification {job_id}", "It may be long ago; see the contract.")
    return job


def _document(job: Job, before: int) -> d.VerificationJob:
    result = job.result or {}
    return d.VerificationJob(
        id=job.id,
        address=format_address(job.address),
        state=str(job.state),
        is_finished=job.is_finished,
        before=before,
        submitted_at=answers.time_of(job.submitted_at),
        finished_at=None if job.finished_at is None else answers.time_of(job.finished_at),
        language=job.language,
        compiler_version=job.compiler_version,
        contract=job.contract_name,
        match=result.get("match"),
        runtime_match=result.get("runtime_match"),
        creation_match=result.get("creation_match"),
        error=None
        if job.error_code is None
        else d.VerificationError(code=job.error_code, message=job.error_message or ""),
    )
