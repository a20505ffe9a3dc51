"""The documentation at `/docs`: the static files that `make setup` builds, as routes of a site. A wheel of this installation carries them."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
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
ALERTS_GUIDE: Final = f"{PREFIX}/guide/alerts.html"
"""The page with a heading for each alert."""
BUILT: Final = Path(__file__).parents[4] / "build" / "docs-site"
"""What was built in the checkout that this package runs from, if it does."""
CARRIED: Final = Path(__file__).parent / "documentation"
"""What a wheel brought with it."""


def find_docs(said: str, directory: Path) -> Path | None:
    """Return where the documentation is, by the configuration's word; None shows none.

    "auto" is what was built in this checkout, or what the installed wheel carries.
    """
    if said == AUTO:
        return next((folder for folder in (BUILT, CARRIED) if (folder / "index.html").is_file()), None)
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
    """Static files whose redirects name no host: a Host header is the caller's word.

    Who leaves `.html` away, or ends a page's name with a slash, is led to the page: links on it are relative to its own address.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        is_folder = scope["path"].endswith("/")
        pages = ([path] if is_folder else []) + ([] if path.endswith(".html") else [f"{path}.html"])
        for page in pages:
            if await run_in_threadpool(self._is_file, page):
                return RedirectResponse(f"{PREFIX}/{quote(page)}")
        answer = await super().get_response(path, scope)
        if isinstance(answer, RedirectResponse):
            # A folder without its slash, the only one there is.
            name = scope["path"].rstrip("/").rpartition("/")[2]
            answer.headers["location"] = f"./{quote(name)}/"
        return answer

    def _is_file(self, path: str) -> bool:
        try:
            _, found = self.lookup_path(path)
        except (OSError, ValueError):
            # A name that no file has: too long, or with a null byte. `StaticFiles` answers it.
            return False
        return found is not None and stat.S_ISREG(found.st_mode)
