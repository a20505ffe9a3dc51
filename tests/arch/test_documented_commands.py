"""Commands that the documents name are there, with the options that they are given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from metanode.cli import program as local_program
from sdk.testnet.command import program as toolkit_program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS: dict[str, Any] = {
    "metanode": typer.main.get_command(local_program.app),
    "testnet": typer.main.get_command(toolkit_program.app),
}
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
THEN_AND_NEXT = {"CHANGELOG.md", "LAYER1_ROADMAP.md"}
"""What was, and what will be."""
DOCUMENTS = [
    path
    for path in sorted(
        [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")]
    )
    if path.name not in THEN_AND_NEXT and path.parent.name != "adr"
]
COMMAND = re.compile(
    r"(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\S*/bin/)?(?:python -m sdk\.)?(testnet|metanode) ([a-z-].*)"
)


def code(text: str) -> Iterator[str]:
    """Everything between backticks, and each line of blocks, those that end with a backslash as one."""
    fenced = False
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line.strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def fault_of(line: str) -> str | None:
    """What of a command is not there."""
    found = COMMAND.match(line)
    if found is None:
        return None
    # The rest of a line, behind a comment or another program's beginning, is not the command's.
    text = re.split(r"\s#|[|;&>]|…", found[2])[0]
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    command, path = PROGRAMS[found[1]], found[1]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        # `metanode node DIRECTORY` is `metanode node run DIRECTORY`.
        name = "run" if path == "metanode node" and words[0] not in command.commands else words.pop(0)
        if name not in command.commands:
            return f"{path} has no {name}"
        command, path = command.commands[name], f"{path} {name}"
    known = {"--help", "-h"}.union(*((*each.opts, *each.secondary_opts) for each in command.params))
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"{path} has no {unknown[0]}" if unknown else None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_there_with_its_options(document: Path) -> None:
    faults = {line: fault for line in code(document.read_text()) if (fault := fault_of(line)) is not None}

    assert faults == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_target_of_make_is_there(document: Path) -> None:
    named = [re.match(r"make ((?:[a-z][a-z-]*(?: |$))+)", line) for line in code(document.read_text())]

    assert {word for one in named if one is not None for word in one[1].split()} - TARGETS == set()


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (".venv/bin/metanode up --validators 7", None),
        ("testnet service faucet --config services.toml    # 8080", None),
        ("metanode node /var/lib/metanode --genesis genesis.json", None),
        ("metanode logs --follow | grep block --colour", None),
        ("metanode vote 0x…", "metanode has no vote"),
        ("testnet faucet stats --ledger x", "testnet faucet stats has no --ledger"),
        ("testnet up -q", "testnet up has no -q"),
        ("$ python -m sdk.testnet deploy --name x", "testnet deploy has no --name"),
    ],
)
def test_a_command_that_is_not_there_is_found(line: str, fault: str | None) -> None:
    assert fault_of(line) == fault
