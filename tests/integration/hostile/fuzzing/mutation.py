"""Parameters that fit a schema but for one or two things: where decoders have their corners."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Raw:
    """JSON text that no encoder would write."""

    text: str


LONG: Final = 20_000
DEEP: Final = 2_000
HOSTILE: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 0.5, 2**63, 2**64, "", " ", "0x", "0X0", "0x0", "0x00", "0x01", "0xg", "x", "latest", "pending", "earliest", "LATEST",
    "0x" + "f" * 16, "0x1" + "0" * 16, "0x" + "f" * 64, "0x1" + "0" * 64, "-0x1", "0x-1", "+1", "1e3", "0x" + "0" * 63, "0x" + "00" * 20, "0x" + "00" * 32,
    "0x" + "ab" * LONG, "x" * LONG, "\x00", "\x7f", "\u202e", "\U0001f480", "%s%n", "../../../etc/passwd", "${HOME}", "<script>", "'; --", "\r\nx: y",
    "0x\uff11\uff12", "0x" + "\u0660" * 4, [], {}, [[]], [None], [{}], {"": None}, ["0x0"] * 200, [None] * 2_000, {str(number): number for number in range(500)},
    Raw("9" * 400), Raw("-" + "9" * LONG), Raw("1e999"), Raw("-0"), Raw("1." + "0" * 400 + "1"), Raw('"\\ud800"'), Raw('"\\u0000"'), Raw('"0x\\u0030"'),
    Raw("[" * DEEP + "]" * DEEP), Raw('{"a":' * DEEP + "1" + "}" * DEEP), Raw('{"to":"0x0","to":"0x1"}'), Raw('{"blockHash":null,"blockHash":1,"x":[]}'),
    Raw(" [ 1 , 2 ] "), Raw("NaN"), Raw("'x'"), Raw("[1,]"), Raw("1 2"), Raw(""),
)  # fmt: skip
"""What stands in place of a value; the last ones are no JSON at all."""


def encode(value: Any) -> str:
    """JSON text; `Raw` as it is."""
    match value:
        case Raw(text):
            return text
        case dict():
            return "{" + ",".join(f"{json.dumps(name)}:{encode(item)}" for name, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(encode(item) for item in value) + "]"
    return json.dumps(value)


def is_json(text: str) -> bool | None:
    """Whether a strict reader takes it; None when it nests deeper than Python can say."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        # As text: Python refuses to read integers of more than 4,300 digits, which JSON allows.
        json.loads(text, parse_constant=refuse, parse_int=str, parse_float=str)
    except RecursionError:
        return None
    except ValueError:
        return False
    return True


@st.composite
def mutated(draw: st.DrawFn, params: st.SearchStrategy[list[Any]], known: Sequence[str]) -> Any:
    """Parameters with one to three things changed; what is no longer an array is one of them."""
    changed: Any = draw(params)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(list(_places(changed))))
        changed = _replaced(changed, place, lambda found: _changed(draw, found, known))
    return changed


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*path, name))
    elif isinstance(value, list) and len(value) < 100:
        for index, item in enumerate(value):
            yield from _places(item, (*path, index))


def _replaced(value: Any, path: Path, change: Any) -> Any:
    if not path:
        return change(value)
    first, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = _replaced(copy[first], tuple(rest), change)
    return copy


def _changed(draw: st.DrawFn, found: Any, known: Sequence[str]) -> Any:
    kind = draw(st.integers(0, 3))
    if kind == 0 or isinstance(found, (Raw, bool, int, float, type(None))):
        return draw(st.sampled_from(HOSTILE))
    if isinstance(found, str):
        return _changed_text(draw, found, known)
    if isinstance(found, list):
        return _changed_list(draw, found)
    return _changed_object(draw, found)


def _changed_text(draw: st.DrawFn, found: str, known: Sequence[str]) -> Any:
    at = draw(st.integers(0, len(found)))
    match draw(st.integers(0, 7)):
        case 0:
            return found[:at]
        case 1:
            return found[:at] + draw(st.sampled_from(["0", "f", "g", " ", "\x00", "é", '"'])) + found[at:]
        case 2:
            return found[:at] + found[at + 1 :]
        case 3:
            return found.upper()
        case 4:
            return found + found
        case 5:
            return [found]
        case 6:
            return found.removeprefix("0x")
    return draw(st.sampled_from(list(known))) if known else found


def _changed_list(draw: st.DrawFn, found: list[Any]) -> Any:
    match draw(st.integers(0, 3)):
        case 0:
            return found[:-1]
        case 1:
            return [*found, draw(st.sampled_from(HOSTILE))]
        case 2:
            return found * draw(st.integers(2, 40))
    return dict(enumerate(found)) and {str(index): item for index, item in enumerate(found)}


def _changed_object(draw: st.DrawFn, found: dict[str, Any]) -> Any:
    match draw(st.integers(0, 2)):
        case 0 if found:
            gone = draw(st.sampled_from(sorted(found)))
            return {name: item for name, item in found.items() if name != gone}
        case 1:
            return {**found, draw(st.sampled_from(["x", "", "__proto__", "blockHash", "from", "gas", "data", "state"])): draw(st.sampled_from(HOSTILE))}  # fmt: skip
    return list(found.values())
