"""A figure says which commit it is of, and how often it was measured."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from benchmarks import report
from benchmarks.report import Figure, measured_commit, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of a program and its results, all of it committed."""
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    (tmp_path / "program.py").write_text("1\n")
    (results / "pages.json").write_text("{}\n")
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "all")):
        subprocess.run(("git", "-C", str(tmp_path), *command), check=True)
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "RESULTS", results)
    return tmp_path


def test_results_say_their_commit_and_rounds(tree: Path) -> None:
    path = tree / "benchmarks" / "results" / "new.json"
    save(path, [Figure("a", "metanode", 1, 1, 1)], commit=measured_commit(), rounds=3)
    head = subprocess.run(
        ("git", "-C", str(tree), "rev-parse", "HEAD"), check=True, capture_output=True, text=True
    ).stdout
    document = json.loads(path.read_text())
    assert (document["commit"], document["rounds"]) == (head[:12], 3)


def test_results_of_the_part_before_do_not_make_a_tree_dirty(tree: Path) -> None:
    (tree / "benchmarks" / "results" / "pages.json").write_text('{"figures": []}\n')
    assert not measured_commit().endswith("-dirty")


def test_a_changed_program_makes_a_tree_dirty(tree: Path) -> None:
    (tree / "program.py").write_text("2\n")
    assert measured_commit().endswith("-dirty")


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    assert measured_commit() == "unknown"
