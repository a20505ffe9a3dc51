"""Each of the forty rows of docs/evidence/catalogue.md is asserted by a scenario."""

import re
from pathlib import Path

import pytest

from metanode.simulation.scenarios import SCENARIOS

EVIDENCE = Path(__file__).parents[2] / "docs" / "evidence"


@pytest.mark.parametrize("page", ["catalogue.md", "bad-inputs.md"])
def test_the_page_has_forty_rows_with_what_happens_and_what_must_hold(page: str) -> None:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \|$", (EVIDENCE / page).read_text(), re.MULTILINE)

    assert [int(row) for row in rows] == list(range(1, 41))


def test_every_row_of_the_table_has_a_scenario() -> None:
    assert {row for scenario in SCENARIOS.values() for row in scenario.rows} == set(range(1, 41))


def test_every_claim_is_a_sentence_without_its_stop() -> None:
    for name, scenario in SCENARIOS.items():
        assert len(scenario.claim.split()) >= 5, name
        assert not scenario.claim.endswith("."), name
