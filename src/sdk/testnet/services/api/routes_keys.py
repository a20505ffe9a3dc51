"""Keys of one's own: made by whoever asks, shown once, taken back by whoever has them. As resources for programs, as a page with two forms for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from metanode.errors import InvalidInput, Unavailable
from sdk.testnet.services.api import answers, parts
from sdk.testnet.services.api import documents as d
from sdk.testnet.services.api.answering import OWN
from sdk.testnet.services.api.configuration import SCOPES
from sdk.testnet.services.api.key_page import key_page
from sdk.testnet.services.api.keys import (
    DAYS,
    DAYS_MAX,
    NAME_CHARACTERS_MAX,
    TooManyKeys,
    VisitorKeys,
)
from sdk.testnet.services.api.parts import Given
from sdk.testnet.services.web.clients import check_origin
from sdk.testnet.services.web.problems import NotFound, WrongOrigin, reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sdk.testnet.faucet.client_address import Origin
    from sdk.testnet.services.api.configuration import ApiKey

router = APIRouter(responses=parts.PROBLEMS)

FORM_BYTES_MAX: Final = 4_096
FORM_POLICY: Final = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_MORE: Final[dict[int | str, dict[str, Any]]] = {
    401: parts.PROBLEMS[400] | {"description": "The key is not known here."},
    403: parts.PROBLEMS[400] | {"description": "The key is another."},
}


class NotYours(InvalidInput):
    """A key that somebody else has."""


class KeyRequest(BaseModel):
    """What a key shall be."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(
        default="", max_length=NAME_CHARACTERS_MAX, description="To know it by; nobody else sees it."
    )
    scopes: list[str] = Field(default=list(SCOPES), description=f"Some of {', '.join(SCOPES)}.", max_length=8)
    days: int = Field(default=DAYS, ge=1, le=DAYS_MAX, description="After which it expires.")


class NewKey(d.Document):
    """A key, told this once: only its hash is kept."""

    key: str = Field(
        description="For `Authorization: Bearer`, or `apikey` of Etherscan's dialect.",
        examples=["evk_0123abcd_00112233445566778899aabbccddeeff"],
    )
    id: str = Field(description="Its public part.", examples=["0123abcd"])
    name: str
    scopes: list[str]
    expires_at: d.Time
    limit: int = Field(description="Cost units a minute.")


@router.post("/keys", tags=["keys"], status_code=201)
async def make_key(api: Given, request: Request, response: Response, body: KeyRequest) -> NewKey:
    """Make a key, which has more cost units a minute than a client without one. It is told this once; `Idempotency-Key` is not looked at here."""
    response.headers["cache-control"] = OWN
    text, key = await _make(api, request, body)
    return NewKey(
        key=text,
        id=key.id,
        name=key.name,
        scopes=sorted(key.scopes),
        expires_at=answers.time_of(key.expires_at or 0),
        limit=api.config.keyed_a_minute,
    )


@router.delete("/keys/{key}", tags=["keys"], status_code=204, response_class=Response, responses=_MORE)
async def revoke_key(
    api: Given,
    request: Request,
    key: Annotated[str, Path(pattern=r"^[0-9a-f]{8}$", description="The key's public part.")],
) -> Response:
    """Take a key back; it has to be sent in `Authorization`. Other processes of the API take it for some seconds more."""
    keys, owner = _keys(api), request.state.allowance.owner
    if owner is None or owner.id != key:
        raise NotYours(f"Authorization: expected the key {key} itself, which is to be revoked")
    if any(owner is one for one in api.config.keys):
        raise NotYours("the operator has configured this key, and takes it back")
    await keys.revoke(owner)
    return Response(status_code=204, headers={"cache-control": OWN})


def key_routes() -> list[Route]:
    """Return the page for people, and where its forms go."""
    return [
        Route("/keys", _show, methods=["GET"]),
        Route("/keys", _form_make, methods=["POST"]),
        Route("/keys/revoke", _form_revoke, methods=["POST"]),
    ]


async def _show(request: Request) -> Response:
    return _page(request, 200)


async def _form_make(request: Request) -> Response:
    api = parts.parts_of(request)
    try:
        given = await _form(request)
        days = given.get("days", "")
        wanted = KeyRequest.model_construct(
            name=given.get("name", "").strip(),
            scopes=list(SCOPES),
            days=int(days) if days.isascii() and days.isdecimal() and len(days) < 5 else 0,
        )
        text, key = await _make(api, request, wanted)
    except (InvalidInput, Unavailable) as refused:
        return _refusal(request, refused)
    return _page(request, 201, made=text, expires=answers.time_of(key.expires_at or 0))


async def _form_revoke(request: Request) -> Response:
    api = parts.parts_of(request)
    try:
        given = (await _form(request)).get("key", "").strip()
        key_id = await _revoke_text(api, given)
    except (InvalidInput, Unavailable) as refused:
        return _refusal(request, refused)
    return _page(request, 200, message=f"The key {key_id} is revoked.")


async def _revoke_text(api: parts.Parts, text: str) -> str:
    keys = _keys(api)
    key = await keys.find(text)
    if key is None:
        raise InvalidInput("key: it is not known here, or is revoked already")
    await keys.revoke(key)
    return key.id


def _refusal(request: Request, refused: Exception) -> Response:
    if isinstance(refused, Unavailable):
        return _page(request, 503, message=reason_of(refused))
    statuses = {TooManyKeys: 429, NotFound: 404, WrongOrigin: 403}
    return _page(request, statuses.get(type(refused), 400), message=str(refused))


def _page(request: Request, status: int, **told: str) -> Response:
    api = parts.parts_of(request)
    page = key_page(api.config, is_open=api.keys is not None, **told)
    kept = {} if request.method == "GET" else {"cache-control": OWN}
    return HTMLResponse(page, status_code=status, headers={"content-security-policy": FORM_POLICY} | kept)


async def _form(request: Request) -> Mapping[str, str]:
    check_origin(request, public_url=parts.parts_of(request).config.public_url)
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise InvalidInput(f"expected a form of at most {FORM_BYTES_MAX} bytes")
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=10))
    except ValueError:
        raise InvalidInput("expected a form in UTF-8 with at most 10 fields") from None


async def _make(api: parts.Parts, request: Request, wanted: KeyRequest) -> tuple[str, ApiKey]:
    keys = _keys(api)
    origin: Origin | None = request.state.allowance.origin
    if origin is None:
        raise Unavailable("keys are made for clients with an IP address")
    return await keys.make(wanted.name, origin=origin, scopes=frozenset(wanted.scopes), days=wanted.days)


def _keys(api: parts.Parts) -> VisitorKeys:
    if api.keys is None:
        raise NotFound("keys are not made here", "Ask the operator for one.")
    return api.keys
