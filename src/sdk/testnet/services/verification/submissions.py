"""What people send in, checked: one standard JSON input, a compiler's version, and which contract of it is meant. Nothing in it is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from metanode.errors import InvalidInput
from sdk.testnet.services.verification.compilers import LANGUAGES, Language, split_version

INPUT_BYTES_MAX: Final = 10 * 1024 * 1024
"""A project of a thousand files has some 3 MB; Etherscan's bound is near."""
SOURCES_MAX: Final = 2_000
NAME_CHARACTERS_MAX: Final = 1_000
"""Of a path with its contract."""
_CONTRACT: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,254}", re.ASCII)
_SETTINGS_KEPT: Final = {
    "Solidity": (
        "debug",
        "evmVersion",
        "eofVersion",
        "libraries",
        "metadata",
        "optimizer",
        "remappings",
        "viaIR",
        "experimental",
    ),
    "Vyper": ("evmVersion", "optimize", "experimentalCodegen", "search_paths", "enable_decimals"),
}
"""Of the compilers' settings, those that change code or metadata; the rest would make work (a model checker) or say what to answer."""


class Rejected(InvalidInput):
    """A submission that is not even queued; `code` is Sourcify's word for why."""

    def __init__(self, message: str, code: str = "invalid_parameter", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Sources of one contract."""

    language: Language
    version: str
    """Of the compiler, without commit."""
    commit: str
    """Of the compiler, as far as it was named; empty for any."""
    source_path: str
    """File of the contract; empty when only its name was told."""
    name: str
    standard_json: str
    """As JSON: language, sources with their content, and settings that matter."""

    @property
    def compiler_version(self) -> str:
        """As people write it."""
        return f"{self.version}+commit.{self.commit}" if self.commit else self.version

    @property
    def contract_name(self) -> str:
        """`path:Name`, or only the name."""
        return f"{self.source_path}:{self.name}" if self.source_path else self.name


def read_submission(given: Any, *, compiler_version: str, contract: str) -> Submission:
    """Check a standard JSON input, as an object; raises Rejected."""
    if not isinstance(given, dict):
        raise Rejected("stdJsonInput: expected an object, the compiler's standard JSON input")
    language = given.get("language")
    if language not in LANGUAGES:
        raise Rejected(
            f"stdJsonInput.language: found {str(language)[:40]!r}; expected one of {', '.join(LANGUAGES)}",
            "unsupported_language",
        )
    version, commit = _version(compiler_version)
    path, name = _split_contract(contract, language)
    sources = _sources(given.get("sources"))
    checked: dict[str, Any] = {"language": language, "sources": sources}
    interfaces = given.get("interfaces")
    if language == "Vyper" and isinstance(interfaces, dict) and interfaces:
        checked["interfaces"] = interfaces
    checked["settings"] = _settings(given.get("settings", {}), language)
    if path and path not in sources:
        # forge names Vyper's sources by their whole paths, and the contract by its path in the project.
        named = [each for each in sources if each.endswith(f"/{path}")]
        path = named[0] if len(named) == 1 else path
    if path and path not in sources:
        raise Rejected(
            f"contractIdentifier: the sources have no file {path[:200]!r}; they have {', '.join(sorted(sources))[:300]}"
        )
    try:
        text = orjson.dumps(checked)
    except orjson.JSONEncodeError as error:
        raise Rejected(f"stdJsonInput: {error}") from None
    if len(text) > INPUT_BYTES_MAX:
        raise Rejected(f"stdJsonInput: found {len(text)} bytes, expected at most {INPUT_BYTES_MAX}")
    return Submission(
        language=language,
        version=version,
        commit=commit,
        source_path=path,
        name=name,
        standard_json=text.decode(),
    )


def read_text(text: str, *, compiler_version: str, contract: str) -> Submission:
    """Check a standard JSON input, as a text; raises Rejected."""
    if len(text) > INPUT_BYTES_MAX:
        raise Rejected(f"sourceCode: found {len(text)} characters, expected at most {INPUT_BYTES_MAX}")
    if text.startswith("{{") and text.endswith("}}"):
        # As Etherscan gives sources out.
        text = text[1:-1]
    try:
        given = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Rejected(f"sourceCode: expected the compiler's standard JSON input: {error}") from None
    return read_submission(given, compiler_version=compiler_version, contract=contract)


def wrap_single_file(
    source: str,
    *,
    language: Language,
    compiler_version: str,
    contract: str,
    is_optimized: bool = False,
    runs: int = 200,
    evm_version: str = "",
    libraries: dict[str, str] | None = None,
) -> Submission:
    """Make one file and some settings a submission, as they come in Etherscan's dialect; raises Rejected."""
    path, name = _split_contract(contract, language)
    path = path or ("contract.vy" if language == "Vyper" else "contract.sol")
    settings: dict[str, Any] = {}
    if evm_version and evm_version.lower() != "default":
        settings["evmVersion"] = evm_version
    if language == "Solidity":
        settings["optimizer"] = {"enabled": is_optimized, "runs": runs}
        if libraries:
            settings["libraries"] = {path: libraries}
    given = {"language": language, "sources": {path: {"content": source}}, "settings": settings}
    return read_submission(given, compiler_version=compiler_version, contract=f"{path}:{name}")


def _version(text: str) -> tuple[str, str]:
    try:
        return split_version(text)
    except InvalidInput as error:
        raise Rejected(str(error), "unsupported_compiler_version") from None


def _split_contract(text: str, language: str) -> tuple[str, str]:
    """Path and name of `path:Name`, or of a name alone."""
    if len(text) > NAME_CHARACTERS_MAX:
        raise Rejected(
            f"contractIdentifier: expected at most {NAME_CHARACTERS_MAX} characters, found {len(text)}"
        )
    path, _, name = text.strip().rpartition(":")
    if language == "Vyper" and name.endswith((".vy", ".vyi")):
        path, name = name, name.rpartition("/")[2].rpartition(".")[0]
    # Vyper calls a contract as its file, which need not be an identifier.
    is_name = _CONTRACT.fullmatch(name) or (language == "Vyper" and name and name.isprintable())
    if not is_name or not path.isprintable():
        raise Rejected(
            f"contractIdentifier: found {text[:80]!r}; expected path:Name, e.g. src/Counter.sol:Counter"
        )
    return path, name


def _sources(given: Any) -> dict[str, dict[str, str]]:
    if not isinstance(given, dict) or not given:
        raise Rejected("stdJsonInput.sources: expected an object of files, each with its content")
    if len(given) > SOURCES_MAX:
        raise Rejected(f"stdJsonInput.sources: expected at most {SOURCES_MAX} files, found {len(given)}")
    found = {}
    for path, source in given.items():
        content = source.get("content") if isinstance(source, dict) else None
        if not isinstance(content, str):
            raise Rejected(
                f"stdJsonInput.sources[{path[:120]!r}]: expected its content as text; files are not fetched from anywhere"
            )
        found[path] = {"content": content}
    return found


def _settings(given: Any, language: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Rejected("stdJsonInput.settings: expected an object")
    return {name: given[name] for name in _SETTINGS_KEPT[language] if name in given}
