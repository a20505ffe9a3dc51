"""The page on which people make an API key, or take one back: two forms, no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sdk.testnet.services.api.keys import DAYS, DAYS_MAX, NAME_CHARACTERS_MAX
from sdk.testnet.services.api.reference import html_page

if TYPE_CHECKING:
    from sdk.testnet.services.api.configuration import ApiConfig


def key_page(
    config: ApiConfig, *, is_open: bool, made: str = "", expires: str = "", message: str = ""
) -> str:
    """Return the page; with a key that was made, or what was done or refused."""
    told = f'<p role="status"><strong>{escape(message)}</strong></p>' if message else ""
    if made:
        told = (
            f'<section role="status"><h2>Your key</h2><p><code>{escape(made)}</code></p><p>It is shown this once, for only its hash is kept: '
            f"copy it now. It expires at {escape(expires)}.</p>"
            f"<pre>curl -H 'Authorization: Bearer {escape(made)}' {escape(config.public_url)}/api/v1/me</pre></section>"
        )
    forms = _FORMS if is_open else "<p>Keys are not made here; ask the operator for one.</p>"
    return html_page(
        "API keys",
        f'<p><a href="/docs">The API</a></p><h1>API keys of {escape(config.network_name)}</h1>{told}'
        f"<p>Without a key a client has {config.anonymous_a_minute} cost units a minute; with one it has {config.keyed_a_minute}. "
        f"A network may make {config.keys_a_day} a day.</p>{forms}",
    )


_FORMS = (
    '<h2>Make one</h2><form method="post" action="/keys"><p><label>Name, to know it by <input name="name" '
    f'maxlength="{NAME_CHARACTERS_MAX}" autocomplete="off"></label></p><p><label>Days until it expires '
    f'<input name="days" type="number" min="1" max="{DAYS_MAX}" value="{DAYS}" required></label></p>'
    "<p><button>Make a key</button></p></form>"
    '<h2>Take one back</h2><form method="post" action="/keys/revoke"><p><label>The key <input name="key" '
    'autocomplete="off" required></label></p><p><button>Revoke it</button></p></form>'
)
