"""Cursors that only this API makes, and only for the list that they were made for."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
from typing import Final

from metanode.errors import InvalidInput

_VERSION: Final = b"\1"
_TAG_BYTES: Final = 12
CURSOR_CHARACTERS_MAX: Final = 400


def seal_cursor(position: str, *, scope: str, secret: bytes) -> str:
    """Return a cursor for a position in the list of this scope: its path and all of its filters."""
    text = position.encode()
    return base64.urlsafe_b64encode(_VERSION + _tag(text, scope, secret) + text).rstrip(b"=").decode()


def open_cursor(cursor: str, *, scope: str, secret: bytes) -> str:
    """Return the position; raises InvalidInput for a cursor of somebody else, of another list, or of other filters."""
    with contextlib.suppress(ValueError):
        raw = base64.b64decode(
            cursor[:CURSOR_CHARACTERS_MAX] + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True
        )
        tag, text = raw[1 : 1 + _TAG_BYTES], raw[1 + _TAG_BYTES :]
        if raw[:1] == _VERSION and hmac.compare_digest(tag, _tag(text, scope, secret)):
            return text.decode()
    raise InvalidInput(
        "cursor: expected the `next` of an answer with the same path and filters; begin again without a cursor"
    )


def _tag(position: bytes, scope: str, secret: bytes) -> bytes:
    return hmac.new(secret, _VERSION + scope.encode() + b"\0" + position, hashlib.sha256).digest()[
        :_TAG_BYTES
    ]
