"""What a limit in seconds means on a machine that others use."""

from __future__ import annotations

import pytest
from tests.acceptance import processes


@pytest.mark.parametrize(
    ("seconds", "is_of_work", "holds"),
    [(2.0, True, True), (5.9, True, True), (6.1, True, False), (2.0, False, True), (2.2, False, False)],
)
def test_only_the_limit_of_work_grows_with_the_load(
    monkeypatch: pytest.MonkeyPatch, seconds: float, is_of_work: bool, holds: bool
) -> None:
    monkeypatch.setattr(processes, "slowness", lambda: 3.0)
    recorded: dict[str, object] = {}

    def measure() -> float:
        return processes.measured(
            "it", lambda: seconds, limit=2.0, record=recorded.__setitem__, is_of_work=is_of_work
        )

    if holds:
        assert measure() == seconds
    else:
        with pytest.raises(AssertionError, match=f"it: {seconds}00, at most 2 times"):
            measure()
    assert recorded == {"it": {"value": seconds, "limit": 2.0, "slowness": 3.0}}
