"""A process of services that was told to end does, also when a thread of it waits for something that never comes."""

from __future__ import annotations

import subprocess
import sys

import pytest

GIVE_UP_S = 1
PROGRAM = f"""
import asyncio, time
from sdk.testnet.services import program

async def serve_services(config, names, *, upon_signal, upon_ready):
    upon_signal()
    await asyncio.to_thread(time.sleep, LASTS_S)

program.GIVE_UP_S = {GIVE_UP_S}
program.serve_services = serve_services
program.ServicesConfig.load = lambda path: None
program.choose = lambda config, names: ()
program.run_services("services.toml")
time.sleep({GIVE_UP_S + 1})
print("goes on")
"""


@pytest.mark.parametrize(
    ("lasts_s", "status", "says"), [(60, 1, "services_given_up"), (0, 0, "goes on")], ids=["held", "done"]
)
def test_what_is_not_done_in_time_is_given_up_and_what_is_done_lives_on(
    lasts_s: int, status: int, says: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("LASTS_S", str(lasts_s))],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert ended.returncode == status, ended.stderr
    assert says in ended.stdout + ended.stderr
