"""Cases of what the product does not have. They are read from their files and counted as the others are, and none is judged."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.conformance.verdicts import Status, Verdict


def judge_discv5(file: Path) -> Iterator[Verdict]:
    """Each run of hexadecimal lines is a packet; lines after "#" say what it was made from."""
    lines = (line.strip() for line in file.read_text().splitlines())
    runs = groupby(lines, key=lambda line: bool(line) and not line.startswith("#"))
    packets = ["".join(run) for is_packet, run in runs if is_packet]
    for number, packet in enumerate(packets):
        name = f"{number} packet of {len(bytes.fromhex(packet))} bytes"
        yield Verdict(name, Status.NOT_APPLICABLE, "nodes find each other by discv4; there is no discv5 here")


def judge_interchange(file: Path) -> Iterator[Verdict]:
    """EIP-3076: a file is one case, the steps of one history."""
    case = json.loads(file.read_bytes())
    reason = "slashing protection of the beacon chain: no BLS keys, no attestations"
    yield Verdict(f"{case['name']}, {len(case['steps'])} steps", Status.NOT_APPLICABLE, reason)
