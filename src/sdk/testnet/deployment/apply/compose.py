"""Runs a deployment's Compose file on a Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from metanode.errors import Unavailable
from sdk.testnet.deployment.compose import COMPOSE_FILE

if TYPE_CHECKING:
    from pathlib import Path

ASK_TIMEOUT_S: Final = 20.0
"""A client that does not answer what version it is in this time has no engine."""
UP_TIMEOUT_S: Final = 900.0
"""An image is pulled and one is built the first time; a slow line takes minutes."""
HEALTHY_TIMEOUT_S: Final = 180
_LINES_SHOWN: Final = 30


def find_compose() -> list[str]:
    """The command that runs Compose: `docker compose`, or `docker-compose` of version 2.

    Raises:
        Unavailable: when there is neither.
    """
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        try:
            answer = _run([*command, "version", "--short"], timeout_s=ASK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            continue
        if answer.returncode == 0 and answer.stdout.strip().lstrip("v")[:2] not in ("", "1."):
            return command
    raise Unavailable(
        "neither `docker compose` nor `docker-compose` of version 2 is here; install Docker with its Compose plugin, or use "
        'apply="local", which needs neither'
    )


def start(output: Path) -> None:
    """Build the image, where anything of it is new, start every container, and return when all are healthy.

    Raises:
        Unavailable: when they are not in time; the message shows the end of what Compose said.
    """
    command = [*find_compose(), "-f", COMPOSE_FILE, "up", "--detach", "--build", "--wait"]
    try:
        answer = _run(
            [*command, "--wait-timeout", str(HEALTHY_TIMEOUT_S)], timeout_s=UP_TIMEOUT_S, folder=output
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"`{' '.join(command)}` in {output} did not end in {UP_TIMEOUT_S:.0f} s") from None
    if answer.returncode != 0:
        raise Unavailable(f"`{' '.join(command)}` in {output} failed:\n{_end(answer)}")


def _run(
    command: list[str], *, timeout_s: float, folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=timeout_s,
        check=False,
        env=dict(os.environ),
    )


def _end(answer: subprocess.CompletedProcess[str]) -> str:
    return "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-_LINES_SHOWN:])
