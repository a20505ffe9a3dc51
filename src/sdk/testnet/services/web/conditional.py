"""Answers that a reader has already: an ETag on each, and 304 without a body for who shows it again.

The tag is of what the page says, so it is right for every page, whatever it depends on (names, verified sources, how long ago something was). What it
saves is the way to the reader, not the making.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

FIXED: Final = "no-cache"
"""Of what cannot change: it is kept, and asked about by its tag each time, for its chain may begin anew."""
SHORT: Final = "max-age=1"
"""Of what the next block changes: many who ask at the same time through one proxy are one."""
_TAG_CHARACTERS: Final = 22
"""Of base 16: 88 bits."""
_TAGS_BYTES_MAX: Final = 1_000
"""Of If-None-Match: a browser sends one tag."""


def conditional(request: Request, answer: Response) -> Response:
    """Return the answer with its tag, or 304 where the request has that tag already; answers other than 200 stay as they are."""
    if answer.status_code != 200:
        return answer
    # Weak: the bytes on the wire differ by their compression.
    tag = f'W/"{hashlib.sha256(answer.body).hexdigest()[:_TAG_CHARACTERS]}"'
    answer.headers["etag"] = tag
    if not _has(request.headers.get("if-none-match", ""), tag):
        return answer
    kept = {
        name: answer.headers[name]
        for name in ("cache-control", "etag", "access-control-allow-origin")
        if name in answer.headers
    }
    return Response(status_code=304, headers=kept | {"vary": "accept-encoding"})


def _has(given: str, tag: str) -> bool:
    if len(given) > _TAGS_BYTES_MAX:
        return False
    opaque = tag.removeprefix("W/")
    return any(each.strip().removeprefix("W/") in {"*", opaque} for each in given.split(","))
