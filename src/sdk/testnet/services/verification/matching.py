"""The compiler's code compared with the chain's. Pure.

What may differ: immutables (the constructor writes them), addresses of libraries that were linked, the address of a library itself, arguments of the
constructor behind its code, and the hashes of the sources' metadata. If also the last are equal, the match is exact: every source is the one that was
deployed, to its last comment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from metanode.errors import InvalidInput

Match = Literal["exact_match", "match"]

PLACEHOLDER: Final = re.compile(r"__.{36}__")
"""Twenty bytes that the linker fills in."""
_HASHES: Final = re.compile(rb"(?:\x64ipfs\x58\x22(.{34})|\x65bzzr[01]\x58\x20(.{32}))", re.DOTALL)
"""In the CBOR behind code: `ipfs` or `bzzr` and the hash of the metadata."""
_TRAILER_BYTES_MAX: Final = 512
"""Of the CBOR behind the code; compilers write some 50."""
LIBRARY_PROTECTION: Final = b"\x73" + bytes(20) + b"\x30\x14"
"""How a library's code begins: it compares this address with its own."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes that may differ."""

    start: int
    length: int
    reason: str
    """`immutable`, `library`, `callProtection` or `cborAuxdata`, as Sourcify calls them."""
    id: str = ""
    """Of an immutable or a library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Code as a compiler made it."""

    bytecode: bytes
    """With zeros where libraries are linked."""
    holes: tuple[Hole, ...] = ()
    has_hash: bool = False
    """Whether it ends with a hash of the sources' metadata."""
    appended_bytes: int = 0
    """Of data that the constructor puts behind the code (Vyper's immutables)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How code on the chain matches."""

    match: Match
    values: dict[str, dict[str, str]] = field(default_factory=dict)
    """By reason and id, what stands in the holes on the chain, as 0x-hexadecimal."""
    arguments: bytes = b""
    """Of the constructor: what is behind the code."""


def read_code(document: Any, *, is_runtime: bool) -> Code:
    """Return code of a compiler's output, `evm.bytecode` or `evm.deployedBytecode`; raises InvalidInput for none."""
    document = document if isinstance(document, dict) else {}
    text = str(document.get("object", "")).removeprefix("0x")
    holes = []
    for path, libraries in (document.get("linkReferences") or {}).items():
        for name, places in libraries.items():
            holes += [Hole(each["start"], each["length"], "library", f"{path}:{name}") for each in places]
    for identity, places in (document.get("immutableReferences") or {}).items():
        holes += [Hole(each["start"], each["length"], "immutable", str(identity)) for each in places]
    try:
        bytecode = bytes.fromhex(PLACEHOLDER.sub("00" * 20, text))
    except ValueError:
        raise InvalidInput("the compiler's code is not hexadecimal") from None
    if not bytecode:
        raise InvalidInput(
            "the compiler makes no code of it: an interface or an abstract contract can't be deployed"
        )
    if is_runtime and bytecode.startswith(LIBRARY_PROTECTION):
        holes.append(Hole(1, 20, "callProtection"))
    return Code(
        bytecode=bytecode,
        holes=tuple(sorted(holes, key=lambda each: each.start)),
        has_hash=_HASHES.search(bytecode[-_trailer_bytes(bytecode) or len(bytecode) :]) is not None,
    )


def compare(chain: bytes, code: Code, *, takes_arguments: bool) -> Found | None:
    """Compare byte for byte, and without the last metadata; None when the code is another."""
    whole = _compare(chain, code.bytecode, code, takes_arguments=takes_arguments)
    if whole is not None:
        return Found(match="exact_match" if code.has_hash else "match", values=whole[0], arguments=whole[1])
    if takes_arguments:
        # Where the code ends is only known when it is compared whole.
        return None
    ours, theirs = _trailer_bytes(code.bytecode), _trailer_bytes(chain)
    if not ours and not theirs:
        return None
    cut = code.bytecode[: len(code.bytecode) - ours]
    stripped = _compare(chain[: len(chain) - theirs], cut, code, takes_arguments=False)
    return None if stripped is None else Found(match="match", values=stripped[0])


def compare_without_hashes(chain: bytes, code: Code, changed: Code, *, takes_arguments: bool) -> Found | None:
    """The same with every hash of metadata inside the code left out, wherever it is.

    `changed` is the code of sources that differ only in what metadata says of them: a hash is what differs between the two, and nothing else that
    looks like one.
    """
    if len(code.bytecode) != len(changed.bytecode):
        return None
    hashes: list[Hole] = []
    for each in _HASHES.finditer(code.bytecode):
        group = 1 if each[1] is not None else 2
        start, end = each.span(group)
        if code.bytecode[start:end] != changed.bytecode[start:end]:
            hashes.append(Hole(start, end - start, "cborAuxdata", str(len(hashes) + 1)))
    if not hashes:
        return None
    masked = Code(bytecode=code.bytecode, holes=(*code.holes, *hashes), appended_bytes=code.appended_bytes)
    found = _compare(chain, masked.bytecode, masked, takes_arguments=takes_arguments)
    return None if found is None else Found(match="match", values=found[0], arguments=found[1])


def _compare(
    chain: bytes, ours: bytes, code: Code, *, takes_arguments: bool
) -> tuple[dict[str, dict[str, str]], bytes] | None:
    extra = len(chain) - len(ours)
    if extra < 0 or (not takes_arguments and extra != code.appended_bytes):
        return None
    values: dict[str, dict[str, str]] = {}
    position = 0
    for hole in sorted(code.holes, key=lambda each: each.start):
        if hole.start >= len(ours):
            continue
        if chain[position : hole.start] != ours[position : hole.start]:
            return None
        position = max(position, hole.start + hole.length)
        value = f"0x{chain[hole.start : hole.start + hole.length].hex()}"
        # One library has one address, one immutable one value, wherever they are used.
        if values.setdefault(hole.reason, {}).setdefault(hole.id, value) != value:
            return None
    if chain[position : len(ours)] != ours[position:]:
        return None
    behind = chain[len(ours) :]
    if not takes_arguments and behind:
        values.setdefault("immutable", {})["data"] = f"0x{behind.hex()}"
    return values, behind if takes_arguments else b""


def _trailer_bytes(code: bytes) -> int:
    """Length of the CBOR behind code, with the two bytes that tell it; 0 of code without."""
    if len(code) < 4:
        return 0
    length = int.from_bytes(code[-2:], "big")
    if not 2 <= length <= min(_TRAILER_BYTES_MAX, len(code) - 2):
        return 0
    # A small map (Solidity).
    return length + 2 if 0xA1 <= code[-2 - length] <= 0xA4 else 0
