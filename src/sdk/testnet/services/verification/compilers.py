"""Which compilers are here: Vyper as a Python package, solc as npm's package of that name, each pinned to its version. None is ever fetched."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

Language = Literal["Solidity", "Vyper"]
LANGUAGES: Final[tuple[Language, ...]] = ("Solidity", "Vyper")
FOLDER: Final = Path(__file__).parent
COMPILERS_MAX: Final = 200
"""solc has some 130 versions."""
NODE_MAJOR_MIN: Final = 20
"""The first with a permission model, by which a program reads no files."""
_NODE_ANSWERS_WITHIN_S: Final = 20.0
_VERSION: Final = re.compile(
    r"(?:vyper[:-]|solc[:-])?v?([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?:(?:rc|b|a)[0-9]{1,3})?)"
    r"(?:\+commit\.([0-9a-f]{7,40}))?(?:\.[A-Za-z0-9.]{1,40})?",
    re.ASCII | re.IGNORECASE,
)
WASM_PAGES: Final = 16_384
"""Of 64 KiB: what solc's memory may grow to, 1 GiB."""
HEAP_MIB: Final = 512
"""Of Node beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """One compiler of one version."""

    language: Language
    version: str
    """Without commit: 0.8.37."""
    command: tuple[str, ...]
    """The program and its arguments; it reads a standard JSON input and writes the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilers:
    """The compilers that can be asked, newest first."""

    found: tuple[Compiler, ...] = ()
    missing: tuple[str, ...] = field(default=())
    """Why there are not more, in sentences for the operator."""

    def versions(self, language: Language) -> list[str]:
        """Return the versions of a language, newest first."""
        return [one.version for one in self.found if one.language == language]

    def get(self, language: Language, wanted: str) -> Compiler | None:
        """Return the compiler of a version, without commit; None when it is not here."""
        return next((one for one in self.found if (one.language, one.version) == (language, wanted)), None)


def split_version(text: str) -> tuple[str, str]:
    """Return version and commit of `v0.8.37+commit.f401782d`, `vyper:0.4.3` and their like; the commit may be empty.

    Raises InvalidInput for what is no released version.
    """
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            f"compilerVersion: found {text[:80]!r}; expected a released version such as v0.8.30+commit.73712a01 or 0.4.3"
        )
    return found[1].lower(), (found[2] or "").lower()


def default_folder() -> Path:
    """Return where `testnet compilers --install` puts solc: the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metanode" / "compilers"


def find_compilers(folders: Sequence[Path] = (), *, node: str = "node") -> Compilers:
    """Look for compilers: Vyper in this Python, and every `*/soljson.js` of npm's folders (`node_modules`). Starts Node once; blocks."""
    found: list[Compiler] = []
    missing: list[str] = []
    vyper = _vyper()
    if vyper is None:
        missing.append("Vyper is not installed: pip install vyper")
    else:
        found.append(vyper)
    paths = [path for folder in folders for path in _soljson_files(folder)][:COMPILERS_MAX]
    program = shutil.which(node)
    if not paths:
        missing.append("no solc is installed: testnet compilers --install takes the pinned versions from npm")
    elif program is None:
        missing.append(f"solc needs Node {NODE_MAJOR_MIN} or newer, and there is no program {node}")
    elif (major := _node_major(program)) < NODE_MAJOR_MIN:
        missing.append(
            f"solc needs Node {NODE_MAJOR_MIN} or newer, and {node} is {major or 'none that starts'}"
        )
    else:
        by_version = {one.version: one for one in (_solc(path, program, major) for path in paths) if one}
        found += by_version.values()
    found.sort(key=lambda one: (one.language, _sortable(one.version)), reverse=True)
    return Compilers(found=tuple(found), missing=tuple(missing))


def _vyper() -> Compiler | None:
    if importlib.util.find_spec("vyper") is None:
        return None
    try:
        found = version("vyper")
    except PackageNotFoundError:
        return None
    command = (sys.executable, "-I", "-B", str(FOLDER / "compile_vyper.py"))
    return Compiler(language="Vyper", version=found, command=command)


def _soljson_files(folder: Path) -> list[Path]:
    """Each package of an npm folder that has a soljson.js; of `folder` itself or of `node_modules` in it."""
    return [
        path for where in (folder, folder / "node_modules") for path in sorted(where.glob("*/soljson.js"))
    ]


def _node_major(program: str) -> int:
    try:
        told = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=_NODE_ANSWERS_WITHIN_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    major = told.strip().removeprefix("v").partition(".")[0]
    return int(major) if major.isdecimal() else 0


def _solc(path: Path, node: str, major: int) -> Compiler | None:
    try:
        found = json.loads((path.parent / "package.json").read_text(encoding="utf-8"))["version"]
        split_version(found)
    except (OSError, ValueError, KeyError, TypeError, InvalidInput):
        return None
    path = path.resolve()
    runner = (FOLDER / "compile_solidity.cjs").resolve()
    permission = "--permission" if major >= 24 else "--experimental-permission"
    command = (
        node, "--no-warnings", permission, f"--allow-fs-read={path}", f"--allow-fs-read={runner}",
        f"--max-old-space-size={HEAP_MIB}", f"--wasm-max-mem-pages={WASM_PAGES}", str(runner), str(path),
    )  # fmt: skip
    return Compiler(language="Solidity", version=found, command=command)


def _sortable(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", text)]
