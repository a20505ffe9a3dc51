"""`make setup` writes the documentation's pages: once for each state of the documents, and whole before anybody sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tools import setup


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of one document, set up with the packages of these tests."""
    (tmp_path / "docs").mkdir()
    (tmp_path / ".venv").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# First\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: n\nstrict: true\nsite_dir: elsewhere\n")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup, "BIN", Path(sys.executable).parent)
    monkeypatch.setattr(setup, "DOCUMENTATION", tmp_path / "build" / "docs-site")
    monkeypatch.setattr(setup, "DOCUMENTATION_INPUTS", ("docs", "mkdocs.yml"))
    return tmp_path


def test_pages_are_written_again_only_when_a_document_has_changed(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = checkout / "build" / "docs-site" / "index.html"
    setup.build_documentation()
    assert "First" in home.read_text()
    assert "writing the documentation's pages" in capsys.readouterr().out

    setup.build_documentation()
    assert capsys.readouterr().out == ""

    (checkout / "docs" / "index.md").write_text("# Second\n")
    setup.build_documentation()
    assert "Second" in home.read_text()
    assert [path.name for path in home.parents[1].iterdir()] == ["docs-site"], "nothing is left beside it"

    home.unlink()
    setup.build_documentation()
    assert home.exists(), "what somebody deleted comes again"


def test_a_wrong_link_keeps_nobody_from_a_network(checkout: Path) -> None:
    (checkout / "docs" / "index.md").write_text("# First\n\n[gone](gone.md)\n")
    setup.build_documentation()
    assert (checkout / "build" / "docs-site" / "index.html").exists()


def test_pages_that_could_not_be_written_leave_the_old_ones(checkout: Path) -> None:
    setup.build_documentation()
    (checkout / "mkdocs.yml").write_text("site_name: [\n")
    with pytest.raises(setup.StepFailedError, match="documentation"):
        setup.build_documentation()
    assert "First" in (checkout / "build" / "docs-site" / "index.html").read_text()
