"""A wheel of the Metanode that runs, made of its own files: the same bytes each time.

A deployment runs what it was made with. There may be no source tree, no compiler and no index that has this version; there is the
installation, or the checkout that Python imports from.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import re
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import metanode
import sdk.testnet
from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME: Final = "metanode"
PACKAGES: Final = {
    "metanode": Path(metanode.__path__[0]),
    "sdk/testnet": Path(sdk.testnet.__path__[0]),
}
"""Where the files are, by where they go."""
CHECKOUT: Final = Path(__file__).resolve().parents[5]
"""The repository, when this runs from one."""
ENGINE: Final = "_engine.abi3.so"
TIMESTAMP: Final = (1980, 1, 1, 0, 0, 0)
"""The first that a ZIP archive can hold."""
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA: Final = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_LOCKED: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s\\]+)(?: ?\\\n(?:    --hash=[^\n]+\n?)+)?", re.MULTILINE
)


def wheel_name() -> str:
    """The file name of the wheel: for this architecture, and Python 3.11 and later."""
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return f"{NAME}-{metanode.__version__}-cp311-abi3-{platform}.whl"


def make_wheel() -> bytes:
    """The wheel of this installation.

    Raises:
        InvalidInput: where a container could not run it: the engine here is not one of Linux, or is missing.
    """
    if not sys.platform.startswith("linux") or not (PACKAGES["metanode"] / ENGINE).exists():
        raise InvalidInput(
            f"wheel: this installation on {sys.platform} has no engine that runs in a Linux container; "
            "build a wheel for Linux (`maturin build --release`) and give its path as wheel="
        )
    files = {name: path.read_bytes() for name, path in sorted(_files())}
    information = f"{NAME}-{metanode.__version__}.dist-info"
    requirements = "".join(f"Requires-Dist: {line}\n" for line in dependencies())
    files[f"{information}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {metanode.__version__}\nRequires-Python: >=3.11\n{requirements}"
    ).encode()
    tag = wheel_name().removesuffix(".whl").split("-", 2)[2]
    files[f"{information}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: metanode\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    files[f"{information}/entry_points.txt"] = entry_points().encode()
    record = f"{information}/RECORD"
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files[record] = "".join(f"{line}\n" for line in (*lines, f"{record},,")).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as written:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, TIMESTAMP)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            written.writestr(entry, content)
    return archive.getvalue()


def dependencies() -> list[str]:
    """The requirements of Metanode itself: those of the checkout, or of the installed distribution."""
    if (project := _project()) is not None:
        found: list[str] = project["dependencies"]
        return found
    return _distribution().requires or []


def entry_points() -> str:
    """The commands that Metanode installs, and what it adds to other programs, as `entry_points.txt` has them."""
    if (project := _project()) is not None:
        groups = {"console_scripts": project.get("scripts", {})} | project.get("entry-points", {})
        pairs = [(group, name, target) for group, table in groups.items() for name, target in table.items()]
    else:
        pairs = [(each.group, each.name, each.value) for each in _distribution().entry_points]
    text = ""
    for group in sorted({group for group, _, _ in pairs}):
        lines = sorted(f"{name} = {target}\n" for of, name, target in pairs if of == group)
        text += f"[{group}]\n{''.join(lines)}\n"
    return text


def _project() -> dict[str, Any] | None:
    """What pyproject.toml says of Metanode, when this runs from a checkout."""
    path = CHECKOUT / "pyproject.toml"
    if not path.exists():
        return None
    found: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    return found if found.get("name") == NAME else None


def _distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(NAME)
    except importlib.metadata.PackageNotFoundError:
        raise InvalidInput(
            f"wheel: {PACKAGES['metanode']} is neither an installed distribution nor in a checkout, so what it depends on is not "
            "known; install it with pip, or give wheel="
        ) from None


def requirements() -> str:
    """The content of a requirements file with every package that Metanode runs on, in the version that is installed here.

    From a checkout whose lock has these versions, with their hashes.
    """
    versions = _closure(dependencies())
    lock = CHECKOUT / "requirements.lock"
    locked = (
        {
            _normal(found["name"]): (found["version"], found.group().rstrip())
            for found in _LOCKED.finditer(lock.read_text(encoding="utf-8"))
        }
        if lock.exists()
        else {}
    )
    if all(locked.get(name, ("", ""))[0] == version for name, version in versions.items()):
        # pip wants hashes of all or of none, and our own wheel has none: the image installs it by itself.
        return "".join(f"{locked[name][1]}\n" for name in sorted(versions))
    return "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def _files() -> Iterator[tuple[str, Path]]:
    """The files of both packages, and the documentation as this checkout has built it, by where they go."""
    for folder, root in PACKAGES.items():
        for path in root.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                yield f"{folder}/{path.relative_to(root).as_posix()}", path

    from sdk.testnet.services import docs  # noqa: PLC0415 - who makes no wheel needs no pages

    for path in docs.BUILT.rglob("*"):
        # A map of the site names the day it was built, and is for searching machines.
        if path.is_file() and not path.name.startswith("sitemap."):
            place = docs.CARRIED.relative_to(PACKAGES["sdk/testnet"]) / path.relative_to(docs.BUILT)
            yield f"sdk/testnet/{place.as_posix()}", path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _closure(wanted: Iterable[str]) -> dict[str, str]:
    """Every installed package that these requirements lead to, and its version.

    Markers other than extras are not read: what a requirement of another platform names is not installed here.
    """
    versions: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = list(wanted)
    while waiting:
        text = waiting.pop()
        found = _REQUIREMENT.match(text)
        assert found, text
        name = _normal(found[1])
        extras = frozenset(extra.strip() for extra in (found[2] or "").split(",") if extra.strip())
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        versions[name] = distribution.version
        for line in distribution.requires or ():
            extra = _EXTRA.search(line)
            if extra is None or extra[1] in extras:
                waiting.append(line)
    return versions


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
