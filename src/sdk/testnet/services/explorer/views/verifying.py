"""Verification for people: a form that takes sources, and a page that follows what becomes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse
from starlette.routing import Route

from metanode.crypto.addresses import is_checksum_wrong, parse_address
from metanode.errors import InvalidInput, Unavailable
from metanode.rpc.errors import JSONRPCError
from sdk.testnet.services.explorer.twins import View
from sdk.testnet.services.verification.compilers import LANGUAGES
from sdk.testnet.services.verification.jobs import Job, get_job, place_in_queue
from sdk.testnet.services.verification.submissions import (
    INPUT_BYTES_MAX,
    Rejected,
    read_text,
    wrap_single_file,
)
from sdk.testnet.services.verification.taking import take_submission
from sdk.testnet.services.web.clients import check_origin
from sdk.testnet.services.web.problems import NotFound, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection
    from starlette.requests import Request
    from starlette.responses import Response

    from sdk.testnet.services.explorer.parts import ExplorerParts, Handler
    from sdk.testnet.services.verification.compilers import Language
    from sdk.testnet.services.verification.submissions import Submission
    from sdk.testnet.services.web.pages import Pages

BODY_BYTES_MAX: Final = 12 * 1024 * 1024
"""A file of ten megabytes with its form."""
FIELDS_MAX: Final = 20
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_FIELDS: Final = ("address", "compiler", "contract", "source", "runs", "evm_version", "optimized")
"""What is filled in again when something was wrong; a file has to be chosen again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What becomes of a submission."""

    id: str
    address: bytes
    state: str
    submitted_at: int
    finished_at: int | None
    language: str
    compiler_version: str
    contract_name: str
    before: int
    """How many are before it."""
    match: str | None
    error_code: str | None
    error_message: str | None


def verification_handlers(parts: ExplorerParts) -> dict[str, Handler]:
    """Return the handlers by path."""

    async def follow(request: Request) -> View:
        wanted = request.path_params["id"].lower()

        def look(connection: Connection) -> tuple[Job, int] | None:
            job = get_job(connection, wanted) if _UUID.fullmatch(wanted) else None
            return None if job is None else (job, 0 if job.is_finished else place_in_queue(connection, job))

        found = await parts.reading.look(look)
        if found is None:
            raise NotFound(
                "There is no such verification.",
                "It may be long ago; the contract's page has what was found.",
            )
        job, before = found
        model = Verification(
            id=job.id,
            address=job.address,
            state=str(job.state),
            submitted_at=job.submitted_at,
            finished_at=job.finished_at,
            language=job.language,
            compiler_version=job.compiler_version,
            contract_name=job.contract_name,
            before=before,
            match=None if job.result is None else job.result["match"],
            error_code=job.error_code,
            error_message=job.error_message,
        )
        return View(template="verification.html", model=model, section="contracts", is_kept=False)

    return {"/verification/{id}": follow}


def verifying_routes(pages: Pages, parts: ExplorerParts) -> list[Route]:
    """Return the routes of the form; none where contracts are not verified."""
    verifier = parts.verifier
    if verifier is None:
        return []

    def page(request: Request, given: Mapping[str, str], error: str = "", status: int = 200) -> Response:
        choices = [
            (f"{one.language}:{one.version}", f"{one.language} {one.version}")
            for one in verifier.compilers.found
        ]
        return pages.render(
            "verify.html",
            request,
            status=status,
            section="contracts",
            headers={"cache-control": "no-store"} if error else None,
            given={name: given.get(name, "") for name in _FIELDS},
            choices=choices,
            error=error,
            twin="",
        )

    async def show(request: Request) -> Response:
        return page(request, {"address": request.query_params.get("address", "")[:60]})

    async def take(request: Request) -> Response:
        check_origin(request, public_url=parts.site.own_url)
        parts.clients.count_stranger(request)
        given, document = await _form(request)
        try:
            address = _address(given)
            submission = await run_in_threadpool(_read, given, document)
            job_id = await take_submission(
                submission,
                address,
                verifier=verifier,
                store=parts.reading.store,
                node=parts.nodes,
                requester=_requester(request, parts),
            )
        except Rejected as refused:
            return page(request, given, str(refused), refused.status)
        except Unavailable as failed:
            return page(request, given, reason_of(failed), 503)
        except JSONRPCError as refusal:
            return page(request, given, f"The node refuses to tell the code: {refusal.message}"[:300], 400)
        except InvalidInput as refused:
            return page(request, given, str(refused), 400)
        return RedirectResponse(f"/verification/{job_id}", 303)

    return [
        Route("/verify", show, methods=["GET"]),
        Route("/verify", take, methods=["POST"]),
    ]


async def _form(request: Request) -> tuple[dict[str, str], str]:
    """The fields, and the text of the file if there is one."""
    async with request.form(max_files=1, max_fields=FIELDS_MAX, max_part_size=INPUT_BYTES_MAX) as form:
        given = {name: str(form.get(name) or "") for name in _FIELDS}
        file: Any = form.get("document")
        if not isinstance(file, UploadFile):
            return given, ""
        content = await file.read()
    try:
        return given, content.decode()
    except UnicodeDecodeError:
        raise InvalidInput("document: expected JSON in UTF-8") from None


def _address(given: Mapping[str, str]) -> bytes:
    text = given["address"].strip()
    address = parse_address(text)
    if is_checksum_wrong(text):
        raise Rejected("address: its upper and lower case is not its checksum (EIP-55); a digit may be wrong")
    return address


def _read(given: Mapping[str, str], document: str) -> Submission:
    language, _, version = given["compiler"].partition(":")
    known: Language | None = next((each for each in LANGUAGES if each == language), None)
    if known is None:
        raise Rejected("compiler: choose one")
    if document:
        return read_text(document, compiler_version=version, contract=given["contract"])
    if not given["source"].strip():
        raise Rejected("Choose the file of the standard JSON input, or fill in one source.")
    runs = given["runs"].strip() or "200"
    if not (runs.isascii() and runs.isdecimal()) or len(runs) > 9:
        raise Rejected(f"runs: expected a number, found {runs[:40]!r}")
    return wrap_single_file(
        # Browsers send lines with two characters at their ends.
        given["source"].replace("\r\n", "\n"),
        language=known,
        compiler_version=version,
        contract=given["contract"],
        is_optimized=bool(given["optimized"]),
        runs=int(runs),
        evm_version=given["evm_version"].strip(),
    )


def _requester(request: Request, parts: ExplorerParts) -> str:
    """Who is counted together: an IPv4 address, or an IPv6 /64."""
    stranger = parts.clients.stranger_of(request)
    return "net:here" if stranger is None else f"net:{stranger}"
