"""What went wrong, once: as a page for people and as `application/problem+json` (RFC 9457) for programs."""

from __future__ import annotations

import http
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from metanode.errors import InvalidInput, StorageFailed, Unavailable
from metanode.rpc.errors import NodeUnreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

log = structlog.get_logger(__name__)

DETAIL_CHARACTERS_MAX: Final = 400
"""An answer repeats no more than this of what somebody sent."""
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://\S+")


LIMITED: Final = "is_limited"
"""In the state of a request that was too many, where its dialect has no 429: whoever counts looks there."""


CALLER: Final = "caller"
"""In the state of a request to the API, one of `CALLERS`: whoever counts looks there, too."""
CALLERS: Final = ("anonymous", "key", "wrong_key")
"""By the key that a request showed: none, one that is known, one that is not."""


class NotFound(InvalidInput):
    """What was asked for is not there. `hint` says what to do."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.hint = hint


class TooManyRequests(InvalidInput):
    """A network asked too often, whatever it asked."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Too many requests from this IP address; a person needs a few")
        self.retry_after_s = retry_after_s


class WrongOrigin(InvalidInput):
    """A page of somebody else's sent this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error, ready to be shown."""

    status: int
    title: str
    """A few words, the same for all errors of this kind."""
    detail: str
    """What happened here: field, found, expected."""
    code: str
    """For programs; lower case with underscores."""
    hint: str = ""
    """What to do, in a sentence."""
    retry_after_s: int | None = None

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the problem+json object."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": request_id,
            "code": self.code,
        }
        if self.hint:
            document["hint"] = self.hint
        if self.retry_after_s is not None:
            document["retry_after"] = self.retry_after_s
        return document


def problem_of(error: Exception, *, nowhere: str = "") -> Problem:
    """Return what to tell of an exception; of our own faults no more than that there was one.

    Args:
        error: What a handler raised.
        nowhere: What to do about an address that no handler has, in a sentence.
    """
    match error:
        case NotFound():
            return Problem(
                status=404, title="Not found", detail=_text(error), code="not_found", hint=error.hint
            )
        case HTTPException(status_code=404, detail="Not Found"):
            return Problem(
                status=404,
                title="Not found",
                detail="Nothing is at this address.",
                code="not_found",
                hint=nowhere,
            )
        case HTTPException():
            phrase = http.HTTPStatus(error.status_code).phrase
            return Problem(
                status=error.status_code,
                title=phrase,
                detail="" if error.detail == phrase else error.detail[:DETAIL_CHARACTERS_MAX],
                code=phrase.lower().replace(" ", "_").replace("-", "_"),
            )
        case TooManyRequests():
            return Problem(
                status=429,
                title="Not so fast",
                detail=_text(error),
                code="rate_limited",
                retry_after_s=error.retry_after_s,
            )
        case WrongOrigin():
            return Problem(
                status=403, title="Sent from another page", detail=_text(error), code="wrong_origin"
            )
        case InvalidInput():
            return Problem(status=400, title="That cannot be read", detail=_text(error), code="invalid_input")
        case Unavailable():
            return Problem(
                status=503,
                title="Not available now",
                detail=reason_of(error),
                code="unavailable",
                hint="Try again in some seconds; nothing that was final is lost.",
                retry_after_s=5,
            )
        case _:
            return Problem(
                status=500,
                title="Our mistake",
                detail="This page could not be made. The error is in our log under the request id below.",
                code="internal",
                hint="Try again; if it stays, send us the request id.",
            )


def reason_of(error: Unavailable) -> str:
    """Return why something is away, for everybody: without addresses of nodes and databases, which may hold keys. The log has them."""
    match error:
        case NodeUnreachable():
            text = "the node answers what can't be read" if error.has_answered else "the node does not answer"
        case StorageFailed():
            text = "the database refused or did not answer"
        case _:
            text = _URL.sub("(address)", str(error))
    if text != str(error):
        log.warning("service_unavailable", reason=str(error))
    return text[:DETAIL_CHARACTERS_MAX]


def request_id_of(request: Request) -> str:
    """Return the id that `SecurityMiddleware` gave."""
    found = getattr(request.state, "request_id", "")
    return found if isinstance(found, str) else ""


def wants_json(request: Request) -> bool:
    """Tell whether the answer is for a program: a `.json` twin, or an Accept header that names JSON before HTML."""
    if request.url.path.endswith(".json"):
        return True
    accepted = request.headers.get("accept", "")
    html, json = accepted.find("text/html"), accepted.find("json")
    return json >= 0 and (html < 0 or json < html)


def problem_document(request: Request, problem: Problem) -> dict[str, Any]:
    """Return what a program is answered; of a site that describes its problems, with where it does."""
    document = problem.document(request_id_of(request))
    described_at = getattr(request.scope["app"].state, "problem_types", "") if "app" in request.scope else ""
    if described_at:
        document["type"] = f"{described_at}{problem.code}"
    return document


def problem_json(
    request: Request, problem: Problem, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return the answer for a program."""
    answer = JSONResponse(
        problem_document(request, problem),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=dict(headers or {}) | retry_headers(problem),
    )
    answer.headers["cache-control"] = "no-store"
    return answer


def retry_headers(problem: Problem) -> dict[str, str]:
    """Return `Retry-After`, where there is a time."""
    return {} if problem.retry_after_s is None else {"retry-after": str(problem.retry_after_s)}


def _text(error: Exception) -> str:
    return str(error)[:DETAIL_CHARACTERS_MAX]
