"""`/api/v1/faucet`: the faucet for programs. Errors are problem+json (RFC 9457); what is unknown in a body is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.faucet.payout import Redeemed
from sdk.testnet.faucet.policy import Refused
from sdk.testnet.faucet.proof_of_work import PUZZLES
from sdk.testnet.services.faucet.documents import (
    challenge_document,
    faucet_document,
    payout_document,
)
from sdk.testnet.services.faucet.problems import (
    AlreadyRedeemed,
    problem_of_error,
    problem_of_refusal,
)
from sdk.testnet.services.web.clients import check_origin
from sdk.testnet.services.web.problems import NotFound, Problem, problem_json

if TYPE_CHECKING:
    from sdk.testnet.faucet.desk import ClaimDesk
    from sdk.testnet.faucet.payout import Payout
    from sdk.testnet.services.faucet.metrics import FaucetMetrics
    from sdk.testnet.services.web.clients import Clients

PREFIX: Final = "/api/v1/faucet"
KEY_CHARACTERS_MAX: Final = 128
_U64_MAX: Final = 2**64 - 1

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=KEY_CHARACTERS_MAX,
        description="Any text of yours; the same request with the same key is answered as the first time, and pays once.",
    ),
]


class ChallengeRequest(BaseModel):
    """Who wants coins."""

    model_config = ConfigDict(extra="forbid", strict=True)
    address: str = Field(max_length=100, description="0x and 40 hexadecimal digits")
    asset: str = Field(default="native", pattern="^native$")


class ClaimRequest(BaseModel):
    """A solved challenge; or an address alone, with a voucher, or where no proof of work is asked."""

    model_config = ConfigDict(extra="forbid", strict=True)
    challenge: str | None = Field(default=None, max_length=1_000)
    nonces: list[int] | None = Field(
        default=None, max_length=PUZZLES, description="One for each puzzle, 64 bits"
    )
    address: str | None = Field(default=None, max_length=100)
    voucher: str | None = Field(default=None, max_length=100)


def make_router(
    desk: ClaimDesk, clients: Clients, metrics: FaucetMetrics, *, public_url: str = ""
) -> APIRouter:
    """Return the routes; another API of the same network may include them."""
    router = APIRouter(prefix=PREFIX, tags=["faucet"])

    @router.get("", summary="State, rules, and how hard a puzzle would be for you")
    async def read_faucet(request: Request) -> JSONResponse:
        client = clients.count_read(request)
        bits = await desk.difficulty(client)
        return _json(faucet_document(await desk.view(), desk.config, bits))

    @router.get("/eligibility", summary="Would a claim be paid now? Promises nothing")
    async def read_eligibility(
        request: Request, address: Annotated[str, Query(max_length=100)]
    ) -> JSONResponse:
        refused = await desk.check(address, clients.count(request))
        answer: dict[str, Any] = {
            "is_eligible": refused is None,
            "reason": None,
            "code": None,
            "retry_after": None,
        }
        if refused is not None:
            answer |= {"reason": refused.reason, "code": refused.code, "retry_after": refused.retry_after_s}
        return _json(answer)

    @router.post("/challenges", status_code=201, summary="A puzzle to solve before a claim")
    async def make_challenge(request: Request, body: ChallengeRequest) -> JSONResponse:
        check_origin(request, public_url=public_url)
        issued = await desk.issue(body.address, clients.count(request))
        if isinstance(issued, Refused):
            metrics.refusals.labels(code=issued.code).inc()
            return _problem(request, problem_of_refusal(issued))
        metrics.challenges.inc()
        metrics.bits.set(issued.challenge.bits)
        return _json(challenge_document(issued), status=201)

    @router.post("/claims", status_code=202, summary="Claim coins, for a solved puzzle or a voucher")
    async def make_claim(
        request: Request,
        body: ClaimRequest,
        idempotency_key: _Key = None,
        authorization: Annotated[str | None, Header(max_length=200)] = None,
    ) -> JSONResponse:
        check_origin(request, public_url=public_url)
        client = clients.count(request)
        if body.challenge is not None:
            nonces = _nonces(body)
            outcome = await desk.redeem(body.challenge, nonces, client, idempotency_key)
        else:
            if body.address is None:
                raise InvalidInput("address: a claim without a challenge needs the address that is paid")
            voucher = body.voucher
            if voucher is None and authorization is not None:
                voucher = authorization.removeprefix("Bearer ").strip()
            outcome = await desk.redeem_without_proof(
                body.address, client, voucher=voucher, idempotency_key=idempotency_key
            )
        if isinstance(outcome, Refused):
            metrics.refusals.labels(code=outcome.code).inc()
            return _problem(request, problem_of_refusal(outcome))
        payout = accepted_of(outcome)
        if not isinstance(outcome, Redeemed):
            metrics.claims.inc()
        document = payout_document(payout)
        return _json(document, status=202, headers={"location": f"{PREFIX}/claims/{document['id']}"})

    @router.get("/claims/{claim_id}", summary="How far a claim is")
    async def read_claim(request: Request, claim_id: str) -> JSONResponse:
        clients.count_read(request)
        payout = await desk.find(claim_id)
        if payout is None:
            raise NotFound("claim: there is none with this id")
        return _json(payout_document(payout))

    @router.get("/payouts", summary="The newest payouts")
    async def read_payouts(request: Request) -> JSONResponse:
        clients.count_read(request)
        items = [payout_document(payout) for payout in await desk.payouts()]
        return _json({"items": items, "next": None})

    return router


def make_api(router: APIRouter) -> FastAPI:
    """Return the app around the routes, with errors as problem+json and its description at `/api/v1/faucet/openapi.json`."""
    api = FastAPI(
        title="Faucet", version="1", openapi_url=f"{PREFIX}/openapi.json", docs_url=None, redoc_url=None
    )

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        headers: dict[str, str] = {}
        if isinstance(error, AlreadyRedeemed):
            headers["location"] = f"{PREFIX}/claims/{error.claim_id}"
        elif isinstance(error, HTTPException):
            headers |= error.headers or {}
        return problem_json(request, problem_of_error(error), headers)

    async def on_invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return _problem(request, invalid_problem(error))

    for kind in (HTTPException, InvalidInput, Unavailable):
        api.add_exception_handler(kind, on_error)
    api.add_exception_handler(RequestValidationError, on_invalid)
    api.include_router(router)
    api.router.redirect_slashes = False
    return api


def accepted_of(outcome: Payout | Redeemed) -> Payout:
    """Return the payout of a claim; what was claimed before only to who says that it asks the same again. Raises AlreadyRedeemed."""
    if not isinstance(outcome, Redeemed):
        return outcome
    if not outcome.is_same_request:
        assert outcome.payout.claim_id is not None
        raise AlreadyRedeemed(outcome.payout.claim_id.hex())
    return outcome.payout


def invalid_problem(error: RequestValidationError) -> Problem:
    """Return what is wrong with a body or a query, the first thing of it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "header"})
    return Problem(
        status=422,
        title="That cannot be read",
        detail=f"{where[:80] or 'body'}: {first['msg'][:200]}",
        code="invalid_input",
    )


def _nonces(body: ClaimRequest) -> list[int]:
    nonces = body.nonces or []
    if len(nonces) != PUZZLES or not all(0 <= nonce <= _U64_MAX for nonce in nonces):
        raise InvalidInput(f"nonces: expected {PUZZLES} whole numbers from 0 to 2**64-1")
    return nonces


def _problem(request: Request, problem: Problem) -> JSONResponse:
    return problem_json(request, problem)


def _json(content: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(content, status_code=status, headers={"cache-control": "no-store"} | (headers or {}))
