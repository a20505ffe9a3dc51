"""The part of the table of faults that CI runs is bounded: what the whole table's page says of it is so, and is at most ten minutes."""

from __future__ import annotations

import re

from tests.everything import ROOT
from tests.integration.faults.catalogue import GROUPS
from tests.integration.faults.evidence import Result, in_ci

MINUTES_MAX = 10
PAGE = ROOT / "docs" / "evidence" / "faults.md"
SENTENCE = re.compile(
    r"(\d+) of the cases run in CI: they took ([0-9.]+) minutes here, one after the other\."
)


def test_what_ci_runs_of_the_faults_took_at_most_ten_minutes() -> None:
    """A case more in CI is measured first, by `make faults`."""
    found = SENTENCE.search(PAGE.read_text())

    assert found is not None
    assert int(found[1]) == sum(case.in_ci for group in GROUPS.values() for case in group.cases)
    assert float(found[2]) <= MINUTES_MAX


def test_the_page_counts_what_runs_in_ci_and_nothing_else() -> None:
    def done(took_s: float, *, is_in_ci: bool) -> Result:
        return Result(
            group="kills", fault="kill -9", dose="once", must_hold="all", name="a", held=True, figures={}, audited={}, took_s=took_s, slowness=1.0,
            failure="", commit="c", kind="relay", at="now", in_ci=is_in_ci,
        )  # fmt: skip

    said = in_ci([done(90.0, is_in_ci=True), done(1_000.0, is_in_ci=False), done(60.0, is_in_ci=True)])

    assert SENTENCE.fullmatch(said)
    assert said.startswith("2 of the cases run in CI: they took 2.5 minutes")
