"""The whole archive, suite by suite."""

import re

import pytest
from tests.conformance import report
from tests.conformance.archive import Archive
from tests.conformance.catalogue import SUITES, Suite, plan
from tests.conformance.running import Judged, Results, judge_work
from tests.conformance.verdicts import Status

NOT_APPLICABLE = {"discv5": 4, "EIP-3076 interchange": 38}
"""How many cases are passed over, in all suites that may pass over any: no case of what the product does."""


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
    counted = [one.verdict for one in judged if one.verdict.counts]
    assert len(counted) == sum(file.cases for one in work for file in one.files)
    passed_over = [one.id for one in judged if one.verdict.status is Status.NOT_APPLICABLE]
    assert len(passed_over) == NOT_APPLICABLE.get(suite.name, 0), passed_over[:20]
    # The page says the same; `make conformance REPORT=1` writes it.
    tally = Results(judged, 0).tallies().get(suite.name)
    if tally:
        row = f"| {suite.name} | {' | '.join(report.counts_of(tally))} | {report.checks_of(tally)} |"
        assert row in report.EVIDENCE.read_text().splitlines()


def test_the_page_has_a_verdict_on_every_case_of_the_manifest(archive: Archive) -> None:
    """Each of its rows is compared with what was judged above, so this is the sum of all verdicts."""
    rows = re.findall(r"^\| (.+?) \| (\d+) \| (\d+) \| (\d+) \|", report.EVIDENCE.read_text(), re.MULTILINE)
    counts = {name: sum(map(int, columns)) for name, *columns in rows}
    total = sum(file.cases for file in archive.files)
    assert counts.pop("**all**") == total
    assert sum(counts.values()) == total
    passed_over = {name: int(columns[2]) for name, *columns in rows if int(columns[2])}
    assert passed_over.pop("**all**") == sum(NOT_APPLICABLE.values())
    assert passed_over == NOT_APPLICABLE
