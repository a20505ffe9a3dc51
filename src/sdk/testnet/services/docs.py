"""The documentation at `/docs`: the static files that `make docs-site` builds, as routes of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.routing import BaseRoute

PREFIX: Final = "/docs"


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

    return [Route(PREFIX, to_home), Mount(PREFIX, StaticFiles(directory=directory, html=True), name="docs")]
