"""The packets of EIP-8 that the tests of our peer-to-peer code read are those of the archive's text, all of them."""

import json
import re

from tests.conformance.archive import ROOT, Archive

PACKETS = ROOT / "tests" / "unit" / "p2p" / "vectors" / "eip-8.json"
TEXT = "vectors/spec-text/eip-8.md"
NAMED = re.compile(r"[:=] +([0-9a-f]+)$", re.MULTILINE)
"""A key, a nonce or a secret, which stands in a line after its name; a packet has a block of lines to itself."""


def test_our_copy_has_every_value_of_the_text_and_no_other(archive: Archive) -> None:
    vectors = archive.file(TEXT).read_text().split("### Test Vectors\n")[1]
    printed = set()
    for block in re.findall(r"```text\n(.*?)```", vectors, re.DOTALL):
        printed.update(NAMED.findall(block) or [block.replace("\n", "")])
    ours = json.loads(PACKETS.read_text())
    assert {name for name, value in ours.items() if value not in printed} == set()
    assert printed - set(ours.values()) == set()
    assert len(printed) == 21
