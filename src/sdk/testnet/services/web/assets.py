"""Static files under names that change with their content, so that browsers may keep them for ever.

All files of a site share one mark, `/static/MARK/js/live.js`, made of everything: a module can import its neighbour by a relative path, and none of
them is ever of another version. An old mark is answered with today's file, to be asked for again.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request

FOLDER: Final = Path(__file__).parent / "static"
CONTENT_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
}
"""What is served; files of other kinds (licences, VENDOR.toml) stay where they are."""
MARK_CHARACTERS: Final = 12
IMMUTABLE: Final = "public, max-age=31536000, immutable"
_COMPRESSED: Final = frozenset({".js", ".css", ".svg", ".json"})


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    compressed: bytes | None
    content_type: str
    etag: str


class Assets:
    """The static files of one site, held in memory: well under a megabyte."""

    def __init__(self, *folders: Path) -> None:
        """Read the shared files and those of further folders; a later folder's file stands before an earlier one's."""
        self._files: dict[str, _File] = {}
        for folder in (FOLDER, *folders):
            for path in sorted(folder.rglob("*")):
                if path.suffix in CONTENT_TYPES and path.is_file():
                    self._files[path.relative_to(folder).as_posix()] = _read(path)
        whole = hashlib.sha256()
        for name in sorted(self._files):
            whole.update(name.encode() + b"\0" + self._files[name].etag.encode() + b"\0")
        self.mark: Final = whole.hexdigest()[:MARK_CHARACTERS]

    def url(self, name: str) -> str:
        """Return where a file is served; raises KeyError for one that is not there, so that a template with a wrong name fails its test."""
        if name not in self._files:
            raise KeyError(f"no static file {name!r}; known are {', '.join(sorted(self._files))}")
        return f"/static/{self.mark}/{name}"

    def names(self) -> Sequence[str]:
        """Return every file's name."""
        return sorted(self._files)

    async def serve(self, request: Request) -> Response:
        """Answer `/static/{mark}/{name:path}`."""
        file = self._files.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("no such file\n", status_code=404)
        is_current = request.path_params["mark"] == self.mark
        headers = {
            "etag": file.etag,
            "cache-control": IMMUTABLE if is_current else "no-cache",
            "vary": "accept-encoding",
        }
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        content = file.content
        if file.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["content-encoding"] = file.compressed, "gzip"
        return Response(content, media_type=file.content_type, headers=headers)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    compressed = gzip.compress(content, 9, mtime=0) if path.suffix in _COMPRESSED else None
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(content, compressed, CONTENT_TYPES[path.suffix], etag)
