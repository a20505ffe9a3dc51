"""A submission judged: compiled, compared with the chain's code, and what that makes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from eth_abi.abi import decode as decode_abi
from eth_abi.abi import encode as encode_abi
from eth_abi.exceptions import DecodingError, EncodingError

from metanode.errors import InvalidInput
from sdk.testnet.services.verification.compiling import CompilerFailed
from sdk.testnet.services.verification.matching import (
    Code,
    Found,
    Hole,
    Match,
    compare,
    compare_without_hashes,
    read_code,
)

if TYPE_CHECKING:
    from sdk.testnet.services.verification.submissions import Submission

Compile = "Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]"

_SOLIDITY_OUTPUT: Final = (
    "abi",
    "metadata",
    "evm.bytecode.object",
    "evm.bytecode.linkReferences",
    "evm.deployedBytecode.object",
    "evm.deployedBytecode.linkReferences",
    "evm.deployedBytecode.immutableReferences",
)
_CHANGE: Final = "\n"
"""Behind every source: it changes what metadata says, and no code."""
_VYPER_HASH: Final = b"\x85\x58\x20"
"""How the CBOR behind Vyper's creation code begins (0.4.1 and newer): a list of five, the first a hash of 32 bytes."""


class NoMatch(InvalidInput):
    """The sources compile to other code."""

    code = "no_match"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainCode:
    """What the chain has of a contract."""

    runtime: bytes
    creation: bytes | None
    """Code and arguments as the transaction, or a contract, had them; None where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is known of a contract whose sources match."""

    runtime_match: Match
    creation_match: Match | None
    source_path: str
    name: str
    compiler_version: str
    language: str
    abi: list[dict[str, Any]]
    metadata: str | None
    arguments: bytes | None
    """Of the constructor; None where the creation code is not known or does not match."""
    details: dict[str, Any]

    @property
    def match(self) -> Match:
        """The better of the two."""
        return "exact_match" if "exact_match" in {self.runtime_match, self.creation_match} else "match"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    path: str
    document: dict[str, Any]
    runtime: Code
    creation: Code


async def judge(submission: Submission, chain: ChainCode, compile_input: Any) -> Verdict:
    """Judge; `compile_input` runs the compiler on a standard JSON input.

    Raises:
        CompilerFailed: when the sources do not compile, or have no such contract.
        NoMatch: when they compile to something else; the message says how far apart they are.
    """
    given = _prepared(submission)
    compiled = _read(await compile_input(given), submission)
    version, metadata = _version(compiled.document, submission)
    runtime = compare(chain.runtime, compiled.runtime, takes_arguments=False)
    creation = _creation(chain.creation, compiled, None)
    is_unsure = runtime is None or (chain.creation is not None and creation is None)
    if is_unsure and submission.language == "Solidity":
        changed = _read(await compile_input(_changed(given)), submission)
        runtime = runtime or compare_without_hashes(
            chain.runtime, compiled.runtime, changed.runtime, takes_arguments=False
        )
        creation = creation or _creation(chain.creation, compiled, changed.creation)
    if runtime is None:
        raise NoMatch(_difference(chain.runtime, compiled.runtime))
    return Verdict(
        runtime_match=runtime.match,
        creation_match=None if creation is None else creation.match,
        source_path=compiled.path,
        name=submission.name,
        compiler_version=version,
        language=submission.language,
        abi=compiled.document.get("abi") or [],
        metadata=metadata,
        arguments=None if creation is None else creation.arguments,
        details={
            "runtime": runtime.values,
            "creation": None if creation is None else creation.values,
        },
    )


def _prepared(submission: Submission) -> dict[str, Any]:
    """The input with what we want of the answer: only the contract that is meant is compiled to code."""
    given: dict[str, Any] = json.loads(submission.standard_json)
    settings = dict(given["settings"])
    if submission.language == "Vyper":
        paths = settings.get("search_paths", ["."])
        if isinstance(paths, list) and "." not in paths:
            # The sources themselves are found from here; what a machine of somebody has is not on this one.
            settings["search_paths"] = [".", *paths]
        settings["outputSelection"] = {
            submission.source_path or "*": [
                "abi",
                "evm.bytecode.object",
                "evm.deployedBytecode.object",
                "layout",
            ]
        }
    else:
        selected = {submission.name: list(_SOLIDITY_OUTPUT)}
        settings["outputSelection"] = {submission.source_path or "*": selected}
    return given | {"settings": settings}


def _changed(given: dict[str, Any]) -> dict[str, Any]:
    sources = {path: {"content": source["content"] + _CHANGE} for path, source in given["sources"].items()}
    return given | {"sources": sources}


def _read(output: dict[str, Any], submission: Submission) -> _Compiled:
    found = []
    for path, contracts in (output.get("contracts") or {}).items():
        if submission.source_path in {"", path}:
            # Vyper has one contract a file, and calls it as it likes.
            names = [submission.name] if submission.language == "Solidity" else list(contracts)
            found += [(path, contracts[name]) for name in names if name in contracts]
    if not found:
        raise CompilerFailed(
            f"The sources have no contract {submission.contract_name[:200]}.", "contract_not_found"
        )
    if len(found) > 1:
        raise CompilerFailed(
            f"{len(found)} files have a contract {submission.name}; say which, as path:{submission.name}.",
            "contract_not_found",
        )
    path, document = found[0]
    try:
        runtime = read_code(document["evm"]["deployedBytecode"], is_runtime=True)
        creation = read_code(document["evm"]["bytecode"], is_runtime=False)
    except (InvalidInput, KeyError, TypeError, AttributeError) as error:
        raise CompilerFailed(
            str(error) if isinstance(error, InvalidInput) else "the compiler's answer has no code"
        ) from None
    if submission.language == "Vyper":
        runtime = replace(runtime, appended_bytes=_immutable_bytes(document), has_hash=False)
        creation = replace(creation, has_hash=_vyper_hash(creation.bytecode) is not None)
    return _Compiled(path=path, document=document, runtime=runtime, creation=creation)


def _immutable_bytes(document: dict[str, Any]) -> int:
    """Of what Vyper's constructor puts behind the code."""
    layout = (document.get("layout") or {}).get("code_layout") or {}
    return max((each["offset"] + each["length"] for each in _leaves(layout)), default=0)


def _leaves(layout: dict[str, Any]) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for each in layout.values():
        if isinstance(each, dict):
            found += [each] if isinstance(each.get("offset"), int) else _leaves(each)
    return found


def _vyper_hash(bytecode: bytes) -> Hole | None:
    start = len(bytecode) - int.from_bytes(bytecode[-2:], "big")
    if start >= 0 and bytecode.startswith(_VYPER_HASH, start):
        return Hole(start + len(_VYPER_HASH), 32, "cborAuxdata", "1")
    return None


def _version(document: dict[str, Any], submission: Submission) -> tuple[str, str | None]:
    """The compiler's whole version, and its metadata as it wrote it."""
    metadata = document.get("metadata")
    if submission.language != "Solidity" or not isinstance(metadata, str) or not metadata:
        return submission.version, None
    try:
        version = str(json.loads(metadata)["compiler"]["version"])
    except (ValueError, KeyError, TypeError):
        return submission.version, metadata
    commit = version.partition("+commit.")[2]
    if (
        submission.commit
        and not commit.startswith(submission.commit)
        and not submission.commit.startswith(commit)
    ):
        raise CompilerFailed(
            f"The compiler here is {version}, not {submission.compiler_version}.",
            "unsupported_compiler_version",
        )
    return version, metadata


def _creation(chain: bytes | None, compiled: _Compiled, changed: Code | None) -> Found | None:
    if chain is None:
        return None
    code = compiled.creation
    if changed is not None:
        found = compare_without_hashes(chain, code, changed, takes_arguments=True)
    else:
        found = compare(chain, code, takes_arguments=True)
        hole = _vyper_hash(code.bytecode) if found is None else None
        if hole is not None:
            masked = Code(bytecode=code.bytecode, holes=(*code.holes, hole))
            found = compare(chain, masked, takes_arguments=True)
    return found if found is not None and _are_arguments(compiled.document, found.arguments) else None


def _are_arguments(document: dict[str, Any], behind: bytes) -> bool:
    """Whether bytes are arguments of the contract's constructor, and nothing more."""
    abi = document.get("abi") or []
    constructor = next((each for each in abi if each.get("type") == "constructor"), None)
    types = [_type_of(each) for each in (constructor or {}).get("inputs", [])]
    if not types:
        return not behind
    try:
        # What is encoded in another way than the usual one is still what the constructor reads.
        return len(encode_abi(types, decode_abi(types, behind))) <= len(behind)
    except (DecodingError, EncodingError, ValueError, OverflowError, TypeError):
        return False


def _type_of(parameter: dict[str, Any]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type_of(each) for each in parameter['components'])}){kind[5:]}"


def _difference(chain: bytes, code: Code) -> str:
    ours = code.bytecode
    if len(chain) != len(ours) + code.appended_bytes:
        return (
            f"The sources compile to {len(ours) + code.appended_bytes} bytes of code, the contract has {len(chain)}: the compiler's settings "
            "(optimizer, runs, EVM version, via IR) or the sources are others than when it was deployed."
        )
    place = next((at for at, (a, b) in enumerate(zip(chain, ours, strict=False)) if a != b), 0)
    return (
        f"The sources compile to code of the right length that differs from byte {place} on: a setting, a library or a source is another "
        "than when it was deployed."
    )
