"""What the judgement of a case is, and how a suite gives it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

Case = TypeVar("Case")

REASON_CHARACTERS_MAX: Final = 400
"""Of a reason that is kept: a diff of two blocks says enough in its first lines."""


class Status(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class Mismatch(Exception):
    """The code gives something else than the case expects; the text says what."""


class NotApplicable(Exception):
    """A case of something that the product does not have; the text says why."""


class Unusable(Exception):
    """A file that the cases of others stand on is not what it has to be; the text says what is wrong."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(reason)
        self.file = file


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case ended."""

    case: str
    status: Status
    reason: str = ""
    """Empty when passed."""
    counts: bool = True
    """False for a check that the manifest does not count as a case: a chain, or the examples in the text of a standard."""


def expect_equal(what: str, found: object, expected: object) -> None:
    """Raise Mismatch unless the two are equal."""
    if found != expected:
        raise Mismatch(f"{what}: found {shown(found)}, expected {shown(expected)}")


def shown(value: object) -> str:
    """A value as a reason shows it."""
    return "0x" + value.hex() if isinstance(value, bytes) else repr(value)


def each(
    cases: Iterable[tuple[str, Case]], judge: Callable[[Case], None], *, counts: bool = True
) -> Iterator[Verdict]:
    """Judge one case after the other; whatever one raises is its own failure."""
    for name, case in cases:
        yield judged(name, judge, case, counts=counts)


def judged(name: str, judge: Callable[[Case], None], case: Case, *, counts: bool = True) -> Verdict:
    """Judge one case."""
    try:
        judge(case)
    except NotApplicable as error:
        return Verdict(name, Status.NOT_APPLICABLE, str(error), counts)
    except Mismatch as error:
        return Verdict(name, Status.FAILED, str(error)[:REASON_CHARACTERS_MAX], counts)
    except Exception as error:  # noqa: BLE001 - a crash is the finding that a conformance suite is there for
        return Verdict(name, Status.FAILED, crash(error)[:REASON_CHARACTERS_MAX], counts)
    return Verdict(name, Status.PASSED, counts=counts)


def crash(error: Exception) -> str:
    """What went wrong, with the kind of error: `KeyError: 'x'`."""
    return f"{type(error).__name__}: {error}"


@contextmanager
def using(file: Path) -> Iterator[None]:
    """Whatever goes wrong inside is the fault of this file: Unusable."""
    try:
        yield
    except Exception as error:
        raise Unusable(file, crash(error)) from error


def named(cases: Iterable[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cases of a list whose entries carry their names; names that repeat are told apart by their place."""
    for index, case in enumerate(cases):
        yield f"{index} {case.get('name', case.get('Name', ''))}".strip(), case
