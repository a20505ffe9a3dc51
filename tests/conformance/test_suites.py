"""The whole archive, suite by suite."""

import pytest
from tests.conformance import report
from tests.conformance.archive import Archive
from tests.conformance.catalogue import SUITES, Suite, plan
from tests.conformance.running import Judged, Results, judge_work
from tests.conformance.verdicts import Status


def suite_id(suite: Suite) -> str:
    return suite.name


@pytest.mark.parametrize("suite", [suite for suite in SUITES if not suite.is_material], ids=suite_id)
@pytest.mark.timeout(300)
def test_a_suite_passes(archive: Archive, suite: Suite) -> None:
    work = [one for one in plan(archive) if one.suite is suite]
    judged: tuple[Judged, ...] = tuple(found for one in work for found in judge_work(archive, one))
    failed = [one for one in judged if one.verdict.status is Status.FAILED]
    told = "\n".join(f"{one.id}: {one.verdict.reason}" for one in failed[:20])
    assert not failed, told
    # The page says the same; `make conformance REPORT=1` writes it.
    tally = Results(judged, 0).tallies().get(suite.name)
    if tally:
        row = f"| {suite.name} | {' | '.join(report.counts_of(tally))} | {report.checks_of(tally)} |"
        assert row in report.EVIDENCE.read_text().splitlines()
