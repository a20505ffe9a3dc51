"""The check of the guide's "Reset": the chain is deleted, the keys stay, and another chain begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from seeing import call, check_agreement, steps_of

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from engine import Engine
    from seeing import Report

CHAIN_ID = 10_007
_LATE = 60
"""A chain that has just begun is lower than this when all containers are healthy."""


def check_reset(
    engine: Engine,
    report: Report,
    case: str,
    output: Path,
    urls: list[str],
    *,
    run: Callable[..., subprocess.CompletedProcess[str]],
    deploy_anew: Callable[[], None],
    user: int | None,
) -> None:
    """Do what the guide says, to the letter, and look at the new chain."""
    before = _validators(output)
    engine.run("bash", "-euc", steps_of(output, "Reset"), folder=output, user=user)
    deploy_anew()
    run("up", "-d", "--wait")
    height = check_agreement(report, case, urls, "five validators agree on a block of the new chain")
    chain_ids = {call(url, "eth_chainId") for url in urls}
    report.claim(
        case,
        'the guide\'s "Reset" is done to the letter and the network deployed with another chain id: a new chain with the same keys',
        f"chain id {int(min(chain_ids), 16)}, block {height}",
        holds=chain_ids == {hex(CHAIN_ID)} and height < _LATE and _validators(output) == before,
    )


def _validators(output: Path) -> list[str]:
    found = json.loads((output / "genesis" / "validators.json").read_text(encoding="utf-8"))
    return [validator["address"] for validator in found["validators"]]
