"""The check that a container's health says something of the chain, and that all end by themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from seeing import check_agreement, container, wait_until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from engine import Engine
    from seeing import Report


def check_health(
    engine: Engine,
    report: Report,
    case: str,
    run: Callable[..., subprocess.CompletedProcess[str]],
    urls: list[str],
) -> None:
    """Of five validators three are held: who is left can't decide and is unhealthy until they are back."""
    held = [container(run, f"validator-{number}") for number in (1, 2, 3)]
    left = container(run, "validator-5")

    def is_told(status: str) -> bool:
        return bool(engine.inspect(left)["State"]["Health"]["Status"] == status)

    began = time.monotonic()
    engine.run("docker", "pause", *held)
    try:
        wait_until(lambda: is_told("unhealthy"), "a validator without a quorum is unhealthy")
        unhealthy_s = time.monotonic() - began
    finally:
        engine.run("docker", "unpause", *held)
    again = time.monotonic()
    wait_until(lambda: is_told("healthy"), "it is healthy with a quorum")
    healthy_s = time.monotonic() - again
    height = check_agreement(report, case, urls, "five validators agree after three of them stood still")
    report.claim(
        case,
        "a validator that can't decide is an unhealthy container, and a healthy one once three others that were held go on",
        f"after {unhealthy_s:.0f} s, and after {healthy_s:.0f} s; block {height}",
        holds=True,
    )


def check_ends(
    engine: Engine,
    report: Report,
    case: str,
    run: Callable[..., subprocess.CompletedProcess[str]],
    names: Sequence[str],
    *profile: str,
) -> None:
    """`stop` is enough for every container."""
    began = time.monotonic()
    run(*profile, "stop")
    took_s = time.monotonic() - began
    codes = {name: engine.inspect(container(run, name, stopped=True))["State"]["ExitCode"] for name in names}
    wrong = {name: code for name, code in codes.items() if code}
    report.claim(
        case,
        "`stop` ends every container by itself, with exit code 0",
        f"{took_s:.0f} s" + (f"; {wrong}" if wrong else ""),
        holds=not wrong,
    )
