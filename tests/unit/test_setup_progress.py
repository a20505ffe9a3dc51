"""Steps of the set-up that say nothing themselves: their progress does."""

import time

import pytest
from tools.setup import progress

LIMIT_S = 30.0


def test_a_long_step_says_that_it_is_still_going_on(capsys: pytest.CaptureFixture[str]) -> None:
    told = ""
    with progress("installing", every_s=0.001):
        end_s = time.monotonic() + LIMIT_S
        while "still at it after" not in told and time.monotonic() < end_s:
            time.sleep(0.001)
            told += capsys.readouterr().out
    assert told.startswith("==> installing\n    still at it after ")
    assert "    done in " in capsys.readouterr().out


def test_a_short_step_says_what_it_does_and_how_long_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("installing"):
        pass
    assert capsys.readouterr().out.startswith("==> installing\n    done in ")


def test_a_step_that_fails_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), progress("installing"):
        raise ValueError("no")
    assert capsys.readouterr().out == "==> installing\n"
