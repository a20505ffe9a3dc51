"""A new way in for bytes does not come without the tests that every decoder gets: it stands in `tests/decoders.py`, or here with the reason."""

import ast
import re
from pathlib import Path

from tests.decoders import DECODERS

SOURCE = Path(__file__).parents[2] / "src"

NAMED = re.compile(
    r"_?(decode|from_item|unpack|decompress|parse|read_watermark|load_point|set_of_answer|open_prepared)(_|$)|_parse$"
)
"""How functions are called that make objects of bytes."""

TEXT = "text of an operator or a caller, with tests of its own beside it"
ELSEWHERE = {
    "metanode.crypto.addresses:parse_address": TEXT,
    "metanode.crypto.mnemonics:parse_mnemonic": TEXT,
    "metanode.crypto.mnemonics:parse_path": TEXT,
    "metanode.primitives.hexadecimal:decode_data": TEXT,
    "metanode.primitives.json_text:parse_json": TEXT,
    "metanode.primitives.hexadecimal:decode_quantity": TEXT,
    "metanode.primitives.units:parse_tokens": TEXT,
    "metanode.p2p.rlpx.frames:FrameCodec.decode_header": "behind a MAC: tests/unit/p2p/rlpx/test_connection.py",
    "metanode.p2p.rlpx.frames:FrameCodec.decode_body": "behind a MAC: tests/unit/p2p/rlpx/test_connection.py",
    "metanode.p2p.rlpx.connection:_decode_farewell": "decode_disconnect, behind a MAC",
    "metanode.p2p.rlpx.reasons:DisconnectReason.parse": "a number of decode_disconnect",
    "metanode.consensus.wire:_open_prepared": "a part of the consensus message",
}
FOREIGN = (
    "metanode.cli.",
    "metanode.simulation.",
    "metanode.rpc.",
    "metanode.node.config",
    "metanode.chain.genesis",
    "metanode.p2p.enode",
)
"""Modules that read what an operator or a caller has written: files and JSON, with tests of their own; journals of simulations."""


def found_decoders() -> set[str]:
    """Return every function of the program whose name says that it decodes."""
    found = set()
    for file in sorted((SOURCE / "metanode").rglob("*.py")):
        module = ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        if module.startswith(FOREIGN):
            continue
        tree = ast.parse(file.read_text())
        for node in tree.body:
            inside = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            found.update(
                f"{module}:{prefix}{child.name}"
                for child in inside
                if isinstance(child, ast.FunctionDef) and NAMED.match(child.name)
            )
    return found


def test_every_decoder_is_in_the_catalogue() -> None:
    covered = {name for decoder in DECODERS for name in decoder.covers} | set(ELSEWHERE)
    found = found_decoders()
    assert len(found) > 50
    assert sorted(found - covered) == []


def test_the_catalogue_names_functions_that_exist() -> None:
    covered = {name for decoder in DECODERS for name in decoder.covers} | set(ELSEWHERE)
    for name in sorted(covered):
        module, _, qualified = name.partition(":")
        text = (SOURCE / (module.replace(".", "/") + ".py")).read_text()
        assert f"def {qualified.rpartition('.')[2]}(" in text, name


def test_names_in_the_catalogue_are_of_one_decoder_each() -> None:
    names = [decoder.name for decoder in DECODERS]
    assert len(set(names)) == len(names)
