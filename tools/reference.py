"""Writes docs/reference/configuration.md from the configuration's own model: `python tools/reference.py`.

A test compares the file with what this would write.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from pathlib import Path

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, SecretStr

from metanode.node.config import HostPort, NodeConfig
from metanode.p2p.enode import Enode
from metanode.primitives.types import Address

if typing.TYPE_CHECKING:
    from pydantic.fields import FieldInfo

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "configuration.md"

INTRODUCTION = """\
# Configuration

One or more TOML files, given to `metanode node`; later files override earlier ones key by key. `${NAME}` takes an
environment variable, `${NAME:-value}` one with a default. Unknown keys are errors with a suggestion, and every problem is
reported at once. This page is generated from the code (`make docs`).
"""

WORDS = {int: "integer", str: "text", bool: "true or false", Path: "path", SecretStr: "text, secret"}


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for name, field in NodeConfig.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)
        assert issubclass(section, BaseModel)
        rows = [_row(key, info) for key, info in section.model_fields.items()]
        parts.append(
            f"## `[{name}]`\n\n{section.__doc__}\n\n| key | type | default | meaning |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def _row(key: str, info: FieldInfo) -> str:
    meaning = " ".join((info.description or "").split())
    return f"| `{key}` | {_type(info)} | {_default(info.default)} | {meaning} |"


def _type(info: FieldInfo) -> str:
    annotation = info.annotation
    arguments = [part for part in typing.get_args(annotation) if part is not types.NoneType]
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        (annotation,) = arguments
    text = _plain(annotation)
    bounds = [f"{sign} {value:,}" for part in info.metadata for sign, value in _bounds(part)]
    return text + (f", {' and '.join(bounds)}" if bounds else "")


def _plain(annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Annotated:
        return _plain(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is tuple:
        return f"list of {_plain(typing.get_args(annotation)[0])}"
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f'"{choice}"' for choice in typing.get_args(annotation))
    if annotation is Address:
        return "address"
    if annotation is Enode:
        return "enode address"
    if annotation is HostPort:
        return "address:port"
    return WORDS[annotation]  # type: ignore[index]  # a new kind of value needs its word above


def _bounds(part: object) -> list[tuple[str, int]]:
    match part:
        case Ge(ge=value):
            return [("≥", typing.cast("int", value))]
        case Gt(gt=value):
            return [(">", typing.cast("int", value))]
        case Le(le=value):
            return [("≤", typing.cast("int", value))]
        case Lt(lt=value):
            return [("<", typing.cast("int", value))]
    return []


def _default(value: object) -> str:
    match value:
        case None | ():
            return "none"
        case bool() | int() | str():
            return f"`{json.dumps(value)}`"
        case tuple():
            return f"`{json.dumps(value)}`"
        case _:
            return f"`{value}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE}\n")
