"""What the page of a verified contract shows of its sources: files, settings, arguments of the constructor, immutables. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from metanode.errors import InvalidInput
from sdk.testnet.services.explorer.abi import Entry, Parameter, parameters_of
from sdk.testnet.services.explorer.decoding import Decoded, decode_values
from sdk.testnet.services.explorer.room import fitting, html_bytes
from sdk.testnet.services.web.text import clean

if TYPE_CHECKING:
    from sdk.testnet.services.queries.contracts import ContractRow

LINES_SHOWN: Final = 600
"""Of a file on the page; a contract of more is better read elsewhere, and the API has all of it."""
LINE_SHOWN: Final = 200
"""Characters of a line."""
SOURCE_BYTES: Final = 16 * 1024
"""Of a file on the page, as HTML: all of the page has 60 kB, of which a dozen is around everything."""
ABI_BYTES: Final = 4 * 1024
"""The same of the ABI."""
FILES_BYTES: Final = 6 * 1024
"""The same of the list of files."""
FILE_TAGS_BYTES: Final = 40
"""Of one of them, around its name."""
PATH_SHOWN: Final = 160
"""Characters of its name."""
ENTRIES_SHOWN: Final = 5
"""Values of the constructor, libraries and immutables: who has more of them reads the JSON. An address is up to a kilobyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One of the sources."""

    path: str
    content: str
    """As far as it is shown."""
    lines: int
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What is known of how a contract was made."""

    files: tuple[str, ...]
    """Paths, the contract's own first."""
    more_files: int
    """That are not listed."""
    shown: SourceFile | None
    settings: tuple[tuple[str, str], ...]
    """Of the compiler, in words."""
    abi: str
    """Its beginning, as text that is fit to show."""
    arguments: Decoded | None
    """Of the constructor; None where it took none, or they are not known."""
    immutables: tuple[tuple[str, str], ...]
    """By the compiler's number, what the constructor wrote into the code."""
    libraries: tuple[tuple[str, str], ...]


def sources_of(contract: ContractRow, wanted: str = "") -> Sources | None:
    """Return what the page shows of a contract's sources, with the file `wanted`, or its own; None of one that is not verified."""
    if contract.standard_json is None:
        return None
    given = _object(contract.standard_json)
    sources = given.get("sources") or {}
    own = contract.source_path or ""
    paths = sorted(sources, key=lambda path: (path != own, path))
    shown = wanted if wanted in sources else (paths[0] if paths else "")
    settings = given.get("settings") or {}
    details = _object(contract.details or "{}").get("runtime") or {}
    listed = _listed(paths)
    return Sources(
        files=listed,
        more_files=len(paths) - len(listed),
        shown=_file(shown, str((sources.get(shown) or {}).get("content", ""))) if shown else None,
        settings=_settings(settings, str(contract.language)),
        abi=fitting(contract.abi or "", ABI_BYTES),
        arguments=_arguments(contract),
        immutables=tuple(sorted((details.get("immutable") or {}).items())),
        libraries=tuple(sorted((details.get("library") or _libraries(settings)).items())),
    )


def _listed(paths: list[str]) -> tuple[str, ...]:
    """The first paths that the list has room for, as links with their names."""
    used = 0
    for place, path in enumerate(paths):
        used += len(quote(path, errors="replace")) + html_bytes(clean(path, PATH_SHOWN)) + FILE_TAGS_BYTES
        if used > FILES_BYTES:
            return tuple(paths[:place])
    return tuple(paths)


def _file(path: str, content: str) -> SourceFile:
    lines = content.expandtabs(4).splitlines()
    shown, used = [], 0
    for line in lines[:LINES_SHOWN]:
        used += html_bytes(clean(line, LINE_SHOWN)) + 1
        if used > SOURCE_BYTES:
            break
        shown.append(line)
    return SourceFile(
        path=path, content="\n".join(shown), lines=len(lines), is_whole=len(shown) == len(lines)
    )


def _settings(settings: dict[str, Any], language: str) -> tuple[tuple[str, str], ...]:
    found = [("EVM version", str(settings.get("evmVersion") or "the compiler's default"))]
    if language == "Vyper":
        found.append(("Optimization", str(settings.get("optimize", "the compiler's default"))))
        return tuple(found)
    optimizer = settings.get("optimizer")
    optimizer = optimizer if isinstance(optimizer, dict) else {}
    runs = f"yes, for {optimizer.get('runs', 200)} runs" if optimizer.get("enabled") else "no"
    found += [("Optimizer", runs), ("Via IR", "yes" if settings.get("viaIR") else "no")]
    metadata = settings.get("metadata")
    if isinstance(metadata, dict) and metadata:
        found.append(("Metadata", ", ".join(f"{name} {value}" for name, value in metadata.items())))
    remappings = settings.get("remappings")
    if isinstance(remappings, list) and remappings:
        found.append(("Remappings", ", ".join(str(each) for each in remappings[:20])))
    return tuple(found)


def _arguments(contract: ContractRow) -> Decoded | None:
    if not contract.constructor_arguments:
        return None
    try:
        abi = orjson.loads(contract.abi or "[]")
        constructor = next(each for each in abi if each.get("type") == "constructor")
        inputs: tuple[Parameter, ...] = parameters_of(constructor.get("inputs", []))
    except (ValueError, StopIteration, AttributeError, InvalidInput):
        return None
    entry = Entry(kind="function", name="constructor", inputs=(), outputs=inputs)
    return decode_values(entry, contract.constructor_arguments)


def _libraries(settings: dict[str, Any]) -> dict[str, str]:
    found = settings.get("libraries")
    if not isinstance(found, dict):
        return {}
    return {
        f"{path}:{name}": str(address)
        for path, libraries in found.items()
        if isinstance(libraries, dict)
        for name, address in libraries.items()
    }


def _object(text: str) -> dict[str, Any]:
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
