"""Templates: one environment, autoescaped, with the filters of `formatting` and `text`, and what every page knows of its site."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse

from metanode.crypto.addresses import format_address
from sdk.testnet.services.web import formatting, text
from sdk.testnet.services.web.problems import Problem, request_id_of, retry_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from sdk.testnet.services.web.assets import Assets
    from sdk.testnet.services.web.site import Site

TEMPLATES: Final = Path(__file__).parent / "templates"
ADDRESSES_KEPT: Final = 2_000
"""Whose text and figure are remembered, half a kilobyte each: a page of an account names it in every line, and they are a quarter of what the page takes."""
_FRESH: Final = "no-cache"
"""Pages are asked for again; only what is static stays."""


class Pages:
    """Renders the templates of one site."""

    def __init__(
        self,
        site: Site,
        assets: Assets,
        *folders: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Read templates from `folders`, then from the shared ones (`layout.html`, `parts.html`, `icons.html`, `problem.html`)."""
        self.site: Final = site
        self._clock = clock
        self._environment = make_environment(*folders)
        self._environment.globals |= {
            "site": site,
            "asset": assets.url,
            "now": clock,
            "ago": lambda timestamp: formatting.ago(timestamp, clock()),
        }

    def render(
        self,
        template: str,
        request: Request,
        *,
        status: int = 200,
        section: str = "",
        headers: dict[str, str] | None = None,
        **context: Any,
    ) -> HTMLResponse:
        """Return a whole page; `section` is the entry of the navigation where the reader is."""
        content = self._environment.get_template(template).render(
            context
            | {
                "section": section,
                "path": request.url.path,
                "here": here(request),
                "query": str(request.query_params.get("q", ""))[:200],
                "request_id": request_id_of(request),
            }
        )
        return HTMLResponse(content, status_code=status, headers={"cache-control": _FRESH} | (headers or {}))

    def fragment(self, template: str, **context: Any) -> str:
        """Return a part of a page, for live updates: rendered once, sent to all."""
        return self._environment.get_template(template).render(context)

    def problem(self, request: Request, problem: Problem) -> HTMLResponse:
        """Return the page of an error."""
        headers = {"cache-control": "no-store"} | retry_headers(problem)
        return self.render("problem.html", request, status=problem.status, headers=headers, problem=problem)


def here(request: Request) -> str:
    """Return where a request was for, as a link that stays on this site: `//evil.example/x` is another one's address."""
    path = "/" + quote(request.scope["path"].lstrip("/\\"), safe="/:@!$&'()*+,;=-._~")
    return f"{path}?{request.url.query}" if request.url.query else path


def make_environment(*folders: Path) -> jinja2.Environment:
    """Return the environment in which a name that a page forgot is an error, and every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "group": formatting.group,
        "amount": formatting.amount,
        "exact": formatting.exact,
        "gwei": formatting.gwei,
        "shorten": formatting.shorten,
        "percent": formatting.percent,
        "filesize": formatting.size,
        "duration": formatting.duration,
        "iso": formatting.iso,
        "utc": formatting.utc,
        "clean": text.clean,
        "clean_lines": text.clean_lines,
        "clock": formatting.clock,
        "checksum": checksum,
        "hexed": formatting.hexed,
    }
    environment.globals |= {"figure": figure}
    return environment


@lru_cache(ADDRESSES_KEPT)
def checksum(address: bytes) -> str:
    """Return an address as text with its checksum."""
    return format_address(address)


@lru_cache(ADDRESSES_KEPT)
def figure(address: str) -> Markup:
    """Return the small figure beside an address as SVG; it says nothing that the text does not."""
    colour, path = formatting.figure(address)
    return Markup(
        '<svg class="figure" viewBox="0 0 5 5" aria-hidden="true"><path fill="{}" d="{}"/></svg>'
    ).format(colour, path)
