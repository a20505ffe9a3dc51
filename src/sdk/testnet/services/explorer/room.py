"""What a page has room for: the beginning of what is long, counted in bytes of HTML before it is HTML. Pure.

A page has 60 kB, whatever is on the chain. A list of rows that are alike has so many of them; events, calls, values and forms are from a hundred bytes to some kilobytes
each, so it is counted how many fit, and the rest is on the next page or in the JSON. The weights below are what the templates put around a thing, with some air:
`test_page_size.py` has the longest of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from markupsafe import escape

from sdk.testnet.services.web.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sdk.testnet.services.explorer.abi import Entry
    from sdk.testnet.services.explorer.decoding import Decoded, Value
    from sdk.testnet.services.explorer.traces import CallLine
    from sdk.testnet.services.queries.moves import LogRow

PAGE_BYTES: Final = 60 * 1024
FRAME_BYTES: Final = 12 * 1024
"""Of a page around its list: head, navigation, tabs and foot are 7 kB; a reason, and long names of accounts, the rest."""
LIST_BYTES: Final = PAGE_BYTES - FRAME_BYTES
CALL_BYTES: Final = 14 * 1024
"""The values of a transaction's call, beside ten moves of tokens, or the first bytes of its input."""
EVENT_BYTES: Final = 8 * 1024
"""The values of one event: usual ones have three."""
LINE_BYTES: Final = 3 * 1024
"""The same where an event is one line of a contract's list."""
ANSWER_BYTES: Final = 12 * 1024
"""The values that a contract answered, above its functions."""
ARGUMENTS_BYTES: Final = 8 * 1024
"""What somebody typed into a form and sees in it again: one argument of the greatest length that a form takes."""
FORM_BYTES: Final = 9 * 1024
"""The form of one function: twenty arguments with long names. A compiler's stack has room for sixteen."""
FORM_INPUTS_MAX: Final = 64
"""A field takes 155 bytes at least, so that fewer have room: who has more, of the 256 that an ABI may, is not weighed."""
FORMLESS_BYTES: Final = 1_000
"""A function without its form."""
OUTPUTS_SHOWN: Final = 4
"""Types that a function is said to give."""
TYPE_SHOWN: Final = 60
"""Characters of a value's type."""
LABEL_SHOWN: Final = 40
"""Characters of the name of a form's field, and of its type."""
LOG_DATA_SHOWN: Final = 512
"""Bytes of an event's data, as they are."""
LINE_DATA_SHOWN: Final = 96
"""The same in a line."""
LINE_TEXT_SHOWN: Final = 80
"""Characters of a value in a line, and of why a call failed."""
_ADDRESS: Final = 800
"""An address with figure, link and copy button."""
_SHORT_ADDRESS: Final = 550
"""The same without the button."""
_PARTY: Final = 1_100
"""An account with its name and the mark of contracts."""
_COINS: Final = 400
_WORD: Final = 80
"""32 bytes in hexadecimal digits."""

_Item = TypeVar("_Item")


def html_bytes(text: str) -> int:
    """Return what a text takes on a page."""
    return len(str(escape(text)).encode(errors="replace"))


def fitting(text: str, bytes_max: int) -> str:
    """Return the beginning of a text, clean, as far as its HTML has room."""
    shown: list[str] = []
    used = 0
    for character in clean(text, bytes_max):
        used += html_bytes(character)
        if used > bytes_max:
            return "".join(shown) + "…"
        shown.append(character)
    return "".join(shown)


def first_that_fit(
    items: Iterable[_Item], weigh: Callable[[_Item], int], bytes_max: int
) -> tuple[_Item, ...]:
    """Return the first of these that have room together; always one, where there is one. What has none is made no more of an iterator than one."""
    shown: list[_Item] = []
    used = 0
    for item in items:
        used += weigh(item)
        if shown and used > bytes_max:
            break
        shown.append(item)
    return tuple(shown)


def first_values(values: Sequence[Value], bytes_max: int) -> tuple[Value, ...]:
    """Return the values that a table of them has room for."""
    return first_that_fit(values, value_bytes, bytes_max)


def first_of_line(values: Sequence[Value], bytes_max: int) -> tuple[Value, ...]:
    """Return the values that a line has room for, without members of tuples and arrays."""
    return first_that_fit((each for each in values if each.depth == 0), _word_bytes, bytes_max)


def value_bytes(value: Value) -> int:
    """Return what a row of the table of values takes."""
    said = _ADDRESS if value.address else 70 + html_bytes(value.text) + html_bytes(value.hint)
    return 100 + html_bytes(value.name) + html_bytes(clean(value.type, TYPE_SHOWN)) + said


def event_bytes(log: LogRow, decoded: Decoded | None) -> int:
    """Return what an event of a transaction takes, with its values and its bytes."""
    raw = 200 + len(log.topics) * _WORD + 2 * min(len(log.data), LOG_DATA_SHOWN)
    if decoded is None:
        return _PARTY + raw
    values = sum(value_bytes(each) for each in first_values(decoded.values, EVENT_BYTES))
    return _PARTY + raw + 250 + html_bytes(decoded.name) + values


def event_line_bytes(log: LogRow, decoded: Decoded | None) -> int:
    """Return what an event of a contract's list takes."""
    head = 800
    if decoded is None or not decoded.values:
        return head + len(log.topics) * _WORD + 2 * LINE_DATA_SHOWN
    values = sum(_word_bytes(each) for each in first_of_line(decoded.values, LINE_BYTES))
    return head + 250 + html_bytes(decoded.name) + values


def call_bytes(call: CallLine) -> int:
    """Return what a line of a call tree takes."""
    failed = 300 + html_bytes(clean(call.error, LINE_TEXT_SHOWN)) if call.error else 0
    return 250 + (_SHORT_ADDRESS if call.recipient else 0) + (_COINS if call.value_wei else 0) + failed


def form_bytes(entry: Entry) -> int | None:
    """Return what a function's form takes; None where a page has no room for it, and the API takes its calls."""
    if len(entry.inputs) > FORM_INPUTS_MAX:
        return None
    fields = sum(
        150 + html_bytes(clean(each.name, LABEL_SHOWN)) + html_bytes(clean(each.type, LABEL_SHOWN))
        for each in entry.inputs
    )
    weighed = 900 + html_bytes(entry.name) + fields
    return weighed if weighed <= FORM_BYTES else None


def _word_bytes(value: Value) -> int:
    said = _SHORT_ADDRESS if value.address else html_bytes(clean(value.text, LINE_TEXT_SHOWN))
    return 70 + html_bytes(clean(value.name or value.type)) + said
