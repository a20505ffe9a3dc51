"""Interfaces of contracts: functions, events and errors by their selectors, from a verified ABI or from lines of Solidity. Pure.

An `Entry` is one function, event or error with its parameters; a `Parameter` may have `components`, which makes it a tuple.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from metanode.crypto.hashing import keccak256
from metanode.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal["function", "event", "error"]
Source = Literal["verified", "same code", "guess"]
"""Where a meaning comes from: the contract's own verified ABI, that of a contract with the same code, or only the selector."""

ENTRIES_MAX: Final = 2_000
"""Of one ABI; compilers make some hundreds at most."""
INTERFACES_KEPT: Final = 64
"""Parsed ABIs: a megabyte each at most, some kilobytes as a rule."""
KEPT_BY_HAND: Final = Path(__file__).parent / "signatures.txt"
OF_LIBRARIES: Final = Path(__file__).parent / "signatures_of_libraries.txt"
"""Written by `tools/signatures.py`."""
_DEPTH_MAX: Final = 8
"""Of tuples in tuples."""
_TEXT_MAX: Final = 2_000
_KINDS: Final[tuple[Kind, ...]] = ("function", "event", "error")
_LINE: Final = re.compile(r"(?:(function|event|error)\s+)?([A-Za-z_$][\w$]*)\s*(\(.*\))\s*", re.ASCII)
_ARRAYS: Final = r"(?:\[(?:[1-9][0-9]{0,5})?\]){0,6}"
"""An array of no members is none, and a length has one spelling."""
_TYPE: Final = re.compile(
    r"(?:u?int(?:8|16|24|32|40|48|56|64|72|80|88|96|104|112|120|128|136|144|152|160|168|176|184|192|200|208|216|224|232|240|248|256)?"
    r"|address|bool|string|function|bytes(?:[1-9]|[12][0-9]|3[0-2])?)" + _ARRAYS,
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter."""

    name: str
    type: str
    """Canonical, tuples as `(uint256,address)[]`."""
    indexed: bool = False
    components: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A function, an event or an error."""

    kind: Kind
    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...] = ()
    mutability: str = "nonpayable"

    @property
    def signature(self) -> str:
        """`transfer(address,uint256)`."""
        return f"{self.name}({','.join(each.type for each in self.inputs)})"

    @property
    def topic(self) -> bytes:
        """keccak256 of the signature: an event's first topic."""
        return keccak256(self.signature.encode())

    @property
    def selector(self) -> bytes:
        """Its first four bytes: how calls and errors begin."""
        return self.topic[:4]

    @property
    def is_reading(self) -> bool:
        """Whether a call changes nothing."""
        return self.kind == "function" and self.mutability in {"view", "pure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What is known of a contract's calls, events and errors."""

    entries: tuple[Entry, ...]
    source: Source
    _by_topic: dict[tuple[Kind, bytes], tuple[Entry, ...]] = field(
        init=False, repr=False, compare=False, hash=False
    )
    """Events by their whole topic, the others by its first four bytes: hashed once, however many logs are looked up."""

    def __post_init__(self) -> None:
        found: dict[tuple[Kind, bytes], tuple[Entry, ...]] = {}
        for entry in self.entries:
            topic = entry.topic
            key = (entry.kind, topic if entry.kind == "event" else topic[:4])
            found[key] = (*found.get(key, ()), entry)
        object.__setattr__(self, "_by_topic", found)

    def functions(self, selector: bytes) -> tuple[Entry, ...]:
        """Return the functions with this selector."""
        return self._by_topic.get(("function", selector), ())

    def events(self, topic: bytes) -> tuple[Entry, ...]:
        """Return the events with this first topic."""
        return self._by_topic.get(("event", topic), ())

    def errors(self, selector: bytes) -> tuple[Entry, ...]:
        """Return the errors with this selector."""
        return self._by_topic.get(("error", selector), ())


@cache
def common() -> Interface:
    """Return what is bundled: the lines that people keep, then those of well-known libraries."""
    return Interface(entries=(*parse_file(KEPT_BY_HAND), *parse_file(OF_LIBRARIES)), source="guess")


def parse_file(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a file of such lines. Raises InvalidInput for a line that is none."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(parse_line(line) for line in lines if line and not line.startswith("#"))


@lru_cache(INTERFACES_KEPT)
def parse_abi(text: str, source: Source = "verified") -> Interface:
    """Return the interface of an ABI as JSON; what is no function, event or error, or is malformed, is left out."""
    try:
        content = orjson.loads(text)
    except ValueError:
        content = []
    entries = []
    for item in content[:ENTRIES_MAX] if isinstance(content, list) else ():
        try:
            entries.append(_entry(item))
        except InvalidInput:
            continue
    return Interface(entries=tuple(entries), source=source)


def parse_texts(texts: Iterable[str], kind: Kind) -> Interface:
    """Return the interface of bare signatures such as `transfer(address,uint256)`; malformed ones are left out."""
    entries = []
    for text in texts:
        try:
            entries.append(parse_line(f"{kind} {text}"))
        except InvalidInput:
            continue
    return Interface(entries=tuple(entries), source="guess")


def parse_line(line: str) -> Entry:
    """Return the entry of `event Transfer(address indexed from, address to, uint256 value)`; names may be missing. Raises InvalidInput."""
    found = _LINE.fullmatch(line) if len(line) <= _TEXT_MAX else None
    if found is None:
        raise InvalidInput(f"signature: expected NAME(TYPE, ...), found {line[:80]!r}")
    kind: Kind = next((each for each in _KINDS if each == found[1]), "function")
    inputs, rest = _parameters(found[3], 0)
    if rest:
        raise InvalidInput(f"signature: expected its end after the parameters, found {rest[:40]!r}")
    return Entry(kind=kind, name=found[2], inputs=inputs)


def _parameters(text: str, depth: int) -> tuple[tuple[Parameter, ...], str]:
    """The parameters of a text that begins with a bracket, and what follows its closing one."""
    if depth > _DEPTH_MAX:
        raise InvalidInput(f"signature: expected at most {_DEPTH_MAX} tuples in each other")
    rest = text[1:].lstrip()
    found: list[Parameter] = []
    while not rest.startswith(")"):
        parameter, rest = _parameter(rest, depth)
        found.append(parameter)
        rest = rest.lstrip()
        if rest.startswith(",") and not rest[1:].lstrip().startswith(")"):
            rest = rest[1:].lstrip()
        elif not rest.startswith(")"):
            raise InvalidInput(f"signature: expected a comma or a bracket, found {rest[:40]!r}")
    return tuple(found), rest[1:]


def _parameter(text: str, depth: int) -> tuple[Parameter, str]:
    components: tuple[Parameter, ...] = ()
    if text.startswith("("):
        components, rest = _parameters(text, depth + 1)
        if not components:
            raise InvalidInput("signature: expected members in a tuple")
        arrays = re.match(_ARRAYS, rest)
        assert arrays is not None
        kind = f"({','.join(each.type for each in components)}){arrays[0]}"
        rest = rest[arrays.end() :]
    else:
        found = re.match(r"[^\s,()]+", text)
        kind = _canonical(found[0] if found else "")
        rest = text[len(found[0]) if found else 0 :]
    words = re.match(r"(?:\s+(indexed|memory|calldata|storage)\b)?(?:\s+([A-Za-z_$][\w$]*))?", rest, re.ASCII)
    assert words is not None
    return (
        Parameter(name=words[2] or "", type=kind, indexed=words[1] == "indexed", components=components),
        rest[words.end() :],
    )


def _entry(item: Any) -> Entry:
    if not isinstance(item, dict) or item.get("type", "function") not in _KINDS:
        raise InvalidInput("abi: no function, event or error")
    name = item.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_$][\w$]{0,127}", name, re.ASCII):
        raise InvalidInput("abi: expected a name")
    return Entry(
        kind=item.get("type", "function"),
        name=name,
        inputs=_items(item.get("inputs", []), 0),
        outputs=_items(item.get("outputs", []), 0),
        mutability=str(item.get("stateMutability", "nonpayable")),
    )


def parameters_of(items: Any) -> tuple[Parameter, ...]:
    """Return the parameters of an ABI's `inputs` or `outputs`; raises InvalidInput."""
    return _items(items, 0)


def _items(items: Any, depth: int) -> tuple[Parameter, ...]:
    if not isinstance(items, list) or len(items) > 256 or depth > _DEPTH_MAX:
        raise InvalidInput("abi: expected a list of parameters")
    return tuple(_item(each, depth) for each in items)


def _item(item: Any, depth: int) -> Parameter:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        raise InvalidInput("abi: expected a parameter")
    kind = item["type"]
    components: tuple[Parameter, ...] = ()
    if kind.startswith("tuple"):
        components = _items(item.get("components", []), depth + 1)
        if not re.fullmatch(rf"tuple{_ARRAYS}", kind, re.ASCII) or not components:
            raise InvalidInput("abi: expected a type")
        kind = f"({','.join(each.type for each in components)}){kind[5:]}"
    else:
        kind = _canonical(kind)
    return Parameter(
        name=str(item.get("name", ""))[:128],
        type=kind,
        indexed=item.get("indexed") is True,
        components=components,
    )


def _canonical(kind: str) -> str:
    """A type as signatures spell it; raises InvalidInput for none."""
    kind = re.sub(r"^address payable\b", "address", kind)
    if not _TYPE.fullmatch(kind):
        raise InvalidInput(f"signature: expected a type, found {kind[:40]!r}")
    return re.sub(r"^(u?int)(?=\[|$)", r"\g<1>256", kind)
