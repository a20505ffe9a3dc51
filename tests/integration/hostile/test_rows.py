"""The table of rows is whole, and every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from tests.integration.hostile.rows import HERE, ROWS

ROOT = Path(__file__).parents[3]
EXPECTED = {*range(1, 15), *range(17, 30), 36, 37}


def functions(file: Path) -> set[str]:
    """Names of the tests in a file."""
    text = file.read_text()
    if file.suffix == ".rs":
        return set(re.findall(r"#\[test\]\s+fn (\w+)", text))
    found = ast.walk(ast.parse(text))
    return {
        node.name for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_row_has_a_test_on_a_real_node() -> None:
    assert set(ROWS) == EXPECTED
    assert all(row.processes for row in ROWS.values())


@pytest.mark.parametrize("number", sorted(EXPECTED))
def test_the_tests_of_a_row_exist(number: int) -> None:
    for named in (*ROWS[number].processes, *ROWS[number].units):
        file, name = named.split("::")
        assert name in functions(ROOT / file), named


def test_every_test_of_a_row_is_in_the_table() -> None:
    """A test says its row in its name."""
    for file in (ROOT / HERE).glob("test_*.py"):
        for name in functions(file):
            if found := re.match(r"test_row_(\d+)_", name):
                assert f"{HERE}/{file.name}::{name}" in ROWS[int(found[1])].processes, name
