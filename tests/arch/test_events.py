"""The catalogue of log events is what the code logs: no event without an entry, no entry without an event."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from metanode.telemetry.events import EVENTS, GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[2] / "src" / "metanode"
LEVELS = ("debug", "info", "warning", "error", "critical")
METHODS = {level: level for level in LEVELS} | {"exception": "error", "warn": "warning", "fatal": "critical"}
NOT_CALLS = ("bind", "new", "unbind", "try_unbind")


@dataclass(frozen=True)
class Logged:
    """One call of a logger."""

    place: str
    name: str | None
    """None when it is not written out."""
    levels: frozenset[str]
    fields: frozenset[str]
    is_open: bool
    """More fields come from a mapping."""


def calls(text: str, place: str) -> Iterator[Logged]:
    """Every call of `log` in a file, under whatever name a method of it goes."""
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            if isinstance(node, ast.Attribute) and _is_log(node.value) and node.attr not in METHODS:
                assert node.attr in (*NOT_CALLS, "log"), f"{place}:{node.lineno}: log.{node.attr}"
            continue
        if not _is_log(node.func.value) or node.func.attr in NOT_CALLS:
            continue
        arguments = node.args
        if node.func.attr == "log":
            told = {part.attr.lower() for part in ast.walk(arguments[0]) if isinstance(part, ast.Attribute)}
            levels, arguments = frozenset(told & set(LEVELS)), arguments[1:]
        else:
            levels = frozenset({METHODS[node.func.attr]})
        first = arguments[0] if arguments else None
        yield Logged(
            place=f"{place}:{node.lineno}",
            name=first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None,
            levels=levels,
            fields=frozenset(keyword.arg for keyword in node.keywords if keyword.arg) - {"exc_info"},
            is_open=any(keyword.arg is None for keyword in node.keywords),
        )


def bare_methods(text: str) -> list[str]:
    """Methods of `log` that are handed on and not called: their event could not be found here."""
    tree = ast.parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and _is_log(node.value)
        and node.attr in (*METHODS, "log")
        and id(node) not in called
    ]


def _is_log(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"log", "_log", "logger"}


FILES = [path for path in sorted(SOURCE.rglob("*.py")) if "structlog" in path.read_text()]
LOGGED = [call for path in FILES for call in calls(path.read_text(), str(path.relative_to(SOURCE)))]


def test_every_event_is_in_the_catalogue_with_its_level_and_facts() -> None:
    strange = []
    for call in LOGGED:
        event = EVENTS.get(call.name or "")
        if event is None:
            strange.append(f"{call.place}: {call.name} is not in telemetry/events.py")
        elif not (call.levels and call.levels <= set(event.levels) and call.fields <= set(event.fields)):
            strange.append(f"{call.place}: {call.name} has {sorted(call.levels)} {sorted(call.fields)}")

    assert strange == []
    assert len(LOGGED) > 40


def test_every_entry_is_logged_with_every_level_and_fact() -> None:
    levels, fields, is_open = defaultdict(set), defaultdict(set), set()
    for call in LOGGED:
        levels[call.name] |= call.levels
        fields[call.name] |= call.fields
        if call.is_open:
            is_open.add(call.name)

    assert {name for name, event in EVENTS.items() if levels[name] != set(event.levels)} == set()
    assert {
        name for name, event in EVENTS.items() if name not in is_open and fields[name] != set(event.fields)
    } == set()


def test_no_event_is_hidden_behind_another_name() -> None:
    assert {
        str(path): bare_methods(path.read_text()) for path in FILES if bare_methods(path.read_text())
    } == {}


def test_names_are_listed_once_and_facts_have_names_of_their_own() -> None:
    assert len(EVENTS) == sum(len(group) for group in GROUPS.values())
    assert {
        field
        for event in EVENTS.values()
        for field in event.fields
        if field in {"event", "level", "timestamp"}
    } == set()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('log.info("never_heard_of")', "not in"),
        ('log.error("block_finalized", height=1)', "level"),
        ('log.info("block_finalized", colour=1)', "fact"),
        ("log.info(name)", "not in"),
    ],
)
def test_a_call_that_does_not_fit_is_found(line: str, problem: str) -> None:
    (call,) = calls(line, "file.py")
    event = EVENTS.get(call.name or "")

    found = "not in" if event is None else "level" if not call.levels <= set(event.levels) else "fact"
    assert found == problem


def test_a_method_that_is_handed_on_is_found() -> None:
    assert bare_methods('emit = log.info if a else log.debug\nemit("peer_session")') == ["info", "debug"]
