"""The bar can fail: how many empty slots and how many lines it allows."""

from __future__ import annotations

import pytest
from tests.integration.hostile.bar import check_log, empty_slots_max


def test_on_a_machine_of_our_own_no_slot_stays_empty_and_work_of_others_takes_its_share() -> None:
    assert empty_slots_max(100, 1.0) == 0
    assert empty_slots_max(100, 1.25) == 25
    assert empty_slots_max(3, 1.1) == 1


def test_a_log_with_a_secret_or_with_more_than_its_lines_breaks_the_bar() -> None:
    blocks = "[info] block_finalized height=1\n" * 100
    check_log(blocks + "[info] mode_changed\n" * 3, ["hunter2"], lines_max=3.9)
    with pytest.raises(AssertionError, match="4 lines where 3 are allowed"):
        check_log(blocks + "[info] mode_changed\n" * 4, ["hunter2"], lines_max=3.9)
    with pytest.raises(AssertionError, match="the log shows a secret"):
        check_log("[info] node_starting password=hunter2\n", ["hunter2"], lines_max=100)
