"""Files of others are what was published, and nothing on our pages comes from elsewhere."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from sdk.testnet.services import web

WEB = Path(web.__file__).parent
SERVICES = WEB.parent
VENDORS = sorted(path.parent for path in SERVICES.rglob("VENDOR.toml"))
FILES = [
    (folder, entry)
    for folder in VENDORS
    for entry in tomllib.loads((folder / "VENDOR.toml").read_text())["file"]
]
OWN = [
    path
    for pattern in ("*.html", "*.css", "*.js", "*.svg")
    for path in SERVICES.rglob(pattern)
    if not any(folder in path.parents for folder in VENDORS)
]
LOADED = re.compile(
    r"""(?:<(?:script|link|img|source|iframe|object|embed|audio|video|use)\b[^>]*?(?:src|href|data)\s*=\s*["']?|@import\s+|url\(\s*["']?|from\s+["']|import\(\s*["']|fetch\(\s*["'`])\s*(?:https?:)?//""",
    re.IGNORECASE,
)


@pytest.mark.parametrize(("folder", "entry"), FILES, ids=[entry["path"] for _, entry in FILES])
def test_a_vendored_file_is_what_its_package_holds(folder: Path, entry: dict[str, str]) -> None:
    content = (folder / entry["path"]).read_bytes()

    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert entry["licence"]
    assert entry["source"].startswith("https://")
    assert entry["package"].rpartition("@")[2] in entry["path"], "the folder carries the version"


@pytest.mark.parametrize("folder", VENDORS, ids=lambda path: str(path.relative_to(SERVICES)))
def test_no_vendored_file_is_without_an_entry(folder: Path) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    assert found == {entry["path"] for place, entry in FILES if place == folder} | {"VENDOR.toml"}
    assert {Path(name).parent for name in found if "LICENSE" in name} == {
        Path(name).parent for name in found if "/" in name
    }


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(SERVICES)))
def test_a_page_loads_nothing_from_elsewhere_and_has_nothing_inline(path: Path) -> None:
    text = path.read_text()

    assert LOADED.search(text) is None
    if path.suffix == ".html":
        assert re.search(r"\sstyle\s*=|<style\b|\son[a-z]+\s*=\s*[\"']|javascript:", text) is None
        assert re.search(r"<script(?![^>]*\bsrc=)", text) is None
    if path.suffix == ".js":
        assert re.search(r"\beval\s*\(|new Function\b|document\.write\b", text) is None


def test_the_rule_finds_what_it_forbids() -> None:
    assert LOADED.search('<script type="module" src="https://cdn.example/x.js">')
    assert LOADED.search("@import url(//cdn.example/x.css)")
    assert not LOADED.search('<a href="https://example.org">')


def test_what_pages_need_is_packaged() -> None:
    """Maturin packs what git does not ignore below the packages that it names."""
    needed = [path for path in SERVICES.rglob("*") if path.is_file() and path.suffix not in (".pyc", ".so")]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *map(str, needed)],
        cwd=SERVICES,
        capture_output=True,
        text=True,
        check=False,
    )
    pyproject = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())

    assert ignored.stdout == ""
    assert "sdk" in pyproject["tool"]["maturin"]["python-packages"]
    assert "exclude" not in pyproject["tool"]["maturin"]
