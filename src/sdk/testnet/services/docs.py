"""The documentation at `/docs`: the static files that `make docs-site` builds, as routes of a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from starlette.types import Scope

PREFIX: Final = "/docs"
AUTO: Final = "auto"
_CHECKOUT: Final = Path(__file__).parents[4]
"""Where this package's sources lie, if it runs from them."""


def find_docs(said: str, directory: Path) -> Path | None:
    """Return where the documentation is, by the configuration's word: what `make docs-site` built in this checkout for "auto"; None shows none."""
    if said == AUTO:
        built = _CHECKOUT / "build" / "docs-site"
        return built if (built / "index.html").is_file() else None
    return directory / said if said else None


def docs_routes(directory: Path) -> list[BaseRoute]:
    """Return the routes of the built documentation, for `make_site_app`.

    Raises:
        InvalidInput: when nothing is built there.
    """
    if not (directory / "index.html").is_file():
        raise InvalidInput(
            f"explorer.docs_directory: found no index.html in {directory}; `make docs-site` builds build/docs-site"
        )

    async def to_home(request: Request) -> RedirectResponse:  # noqa: ARG001 - Starlette's signature
        return RedirectResponse(f"{PREFIX}/", 308)

    return [Route(PREFIX, to_home), Mount(PREFIX, _Documents(directory=directory, html=True), name="docs")]


class _Documents(StaticFiles):
    """Static files whose redirects stay relative: a Host header is the caller's word."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        if isinstance(answer, RedirectResponse):
            # A folder without its slash, the only one there is.
            name = scope["path"].rstrip("/").rpartition("/")[2]
            answer.headers["location"] = f"./{quote(name)}/"
        return answer
