"""What a deployment would write, compared with what stands there. Only `write` changes anything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from metanode.errors import InvalidInput
from sdk.testnet.writing import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from sdk.testnet.deployment.configuration import DeploymentConfig

RECORD_FILE: Final = "deployment.json"
RECORD_VERSION: Final = 1
KEPT_SUFFIX: Final = ".before"
"""Of the copy of a file that a person edited, or that is not of a deployment."""
COPIES_MAX: Final = 100
"""Of one file; who has more has forgotten them."""
_NOT_RECORDED: Final = ("genesis_dir", "data_dir", "output_dir", "wheel", "webhooks")
"""Paths, for moving a deployment changes nothing in it; and what holds secrets."""


class DeploymentChange(InvalidInput):
    """A call would change what a deployment has written; that is as it was. `changes` has a sentence for each."""

    def __init__(self, where: Path, changes: Iterable[str]) -> None:
        self.changes = tuple(changes)
        lines = "\n".join(f"  {change}" for change in self.changes)
        super().__init__(
            f"{where}: this would change the deployment that is there:\n{lines}\n"
            "Call it with confirm_changes=True to do so; keys and chain data stay as they are"
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What was asked and written the last time."""

    parameters: Mapping[str, Any]
    digests: Mapping[str, str]
    """By the path below the output folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Paths below the output folder, by what would happen to them."""

    new: tuple[str, ...]
    unchanged: tuple[str, ...]
    changed: tuple[str, ...]
    """As they were written, and to be written otherwise."""
    edited: tuple[str, ...]
    """Written by a person: edited since, or never of a deployment."""
    gone: tuple[str, ...]
    """Of the deployment before and not of this one, such as the wheel of another version: the image is built from all that stand there."""

    @property
    def sentences(self) -> list[str]:
        """What must be confirmed."""
        return (
            [f"{name}: would be written anew" for name in self.changed]
            + [
                f"{name}: is not as it was written; would be replaced, and kept as {name}{KEPT_SUFFIX}"
                for name in self.edited
            ]
            + [f"{name}: is no longer of this deployment; would be deleted" for name in self.gone]
        )


def parameters_of(config: DeploymentConfig) -> dict[str, Any]:
    """What a deployment depends on, as JSON has it."""
    content = {name: getattr(config, name) for name in config.__slots__ if name not in _NOT_RECORDED}
    return content | {"accounts": dict(sorted(config.accounts.items())), "services": list(config.services)}


def describe_parameters(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """A sentence for each parameter that is another one."""
    return [
        f"{name}: {old.get(name)!r} -> {new[name]!r}"
        for name in new
        if name in old and old[name] != new[name]
    ]


def load_record(output: Path) -> Record | None:
    """The record of the last call; None when there was none.

    Raises:
        InvalidInput: when it can't be read.
    """
    path = output / RECORD_FILE
    try:
        found = json.loads(path.read_bytes())
        return Record(parameters=dict(found["parameters"]), digests=dict(found["files"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path}: expected the record of a deployment: {error!r}; move it away to have every file compared anew"
        ) from None


def compare(output: Path, files: Mapping[str, bytes], record: Record | None) -> Comparison:
    """Compare what would be written with what stands there."""
    kinds: dict[str, list[str]] = {"new": [], "unchanged": [], "changed": [], "edited": [], "gone": []}
    digests = record.digests if record else {}
    for name, content in files.items():
        try:
            found = (output / name).read_bytes()
        except FileNotFoundError:
            kinds["new"].append(name)
            continue
        if found == content:
            kinds["unchanged"].append(name)
        else:
            kinds["changed" if digests.get(name) == digest(found) else "edited"].append(name)
    # What a person has edited since is theirs, and stays.
    kinds["gone"] = [
        name for name, written in digests.items() if name not in files and _digest_of(output, name) == written
    ]
    return Comparison(**{kind: tuple(names) for kind, names in kinds.items()})


def write(
    output: Path, files: Mapping[str, bytes], comparison: Comparison, parameters: Mapping[str, Any]
) -> None:
    """Write what is not there yet or otherwise, then the record; each file whole or not at all."""
    for name in comparison.edited:
        (output / name).replace(_kept_beside(output / name))
    for name in (*comparison.new, *comparison.changed, *comparison.edited):
        write_whole(output / name, files[name])
    for name in comparison.gone:
        (output / name).unlink(missing_ok=True)
    document = {
        "version": RECORD_VERSION,
        "parameters": dict(parameters),
        "files": {name: digest(content) for name, content in sorted(files.items())},
    }
    text = (json.dumps(document, indent=2) + "\n").encode()
    path = output / RECORD_FILE
    if not path.exists() or path.read_bytes() != text:
        write_whole(path, text)


def _digest_of(output: Path, name: str) -> str | None:
    """Of a file that a record names; None where there is none, or where it would be outside of the deployment."""
    path = output / name
    if ".." in path.parts or not path.is_relative_to(output):
        return None
    try:
        return digest(path.read_bytes())
    except OSError:
        return None


def _kept_beside(path: Path) -> Path:
    """Where a file that is replaced is kept: no copy takes the place of an earlier one."""
    for number in range(1, COPIES_MAX + 1):
        kept = path.with_name(f"{path.name}{KEPT_SUFFIX}{'' if number == 1 else f'.{number}'}")
        if not kept.exists():
            return kept
    raise InvalidInput(
        f"{path}: found {COPIES_MAX} copies of it beside it, {path.name}{KEPT_SUFFIX} and following; move some away"
    )


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
