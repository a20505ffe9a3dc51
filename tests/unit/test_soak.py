"""What hours of load are judged by: a leak is told from what fills at first and from noise."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from tests.integration.faults.cluster import Door
from tests.integration.faults.soak import FILES_MAX, Load, Sample, judge, page

HOURS = 8
MB = 1_000_000


def samples(*, leak_an_hour: float = 0.0, files_an_hour: float = 0.0) -> list[Sample]:
    """A node of 100 MB that fills its caches in the first hour, with a noise of 2 MB, every ten seconds."""
    noise = random.Random(7)
    found = []
    for number in range(HOURS * 360):
        hours = number / 360
        size = 60 + 40 * min(1.0, hours) + 100 * leak_an_hour * hours + noise.uniform(-2, 2)
        found.append(
            Sample(number * 10.0, round(size * MB), 40 + noise.randrange(8) + round(files_an_hour * hours))
        )
    return found


def test_caches_that_fill_and_noise_are_no_leak() -> None:
    found = judge(samples())

    assert found.held
    assert abs(found.slope) < 0.001
    assert round(found.resident_bytes / MB) == 100


def test_a_leak_of_two_percent_an_hour_is_one() -> None:
    found = judge(samples(leak_an_hour=0.02))

    assert not found.held
    assert 0.015 < found.slope < 0.02, "of what it takes in the mean, which the leak is part of"


def test_files_that_are_opened_and_never_closed_are_seen() -> None:
    found = judge(samples(files_an_hour=10))

    assert found.files_more > FILES_MAX
    assert not found.held
    assert "| validator-1 |" in (said := page({"validator-1": found}, ["- x"], machine="m", date="d"))
    assert "**no**" in said


def test_a_moment_says_nothing() -> None:
    with pytest.raises(AssertionError, match="too few"):
        judge(samples()[:8])


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(503, text="Too many large requests are being read and answered: try again later.\n"),
        httpx.Response(200, json={"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no"}}),
    ],
    ids=["busy", "one error for the whole batch"],
)
def test_a_batch_that_is_refused_as_a_whole_is_counted_and_the_load_goes_on(refusal: httpx.Response) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        is_batch = request.content.startswith(b"[")
        return refusal if is_batch else httpx.Response(200, json={"id": 1, "result": "0x0"})

    with httpx.Client(transport=httpx.MockTransport(serve)) as client:
        node = SimpleNamespace(rpc=Door("http://node", client=client))
        load = Load(cast("Any", SimpleNamespace(nodes=[node])))
        load.send(3)
        load.send(2)

    assert (load.sent, load.refused) == (5, 5)
