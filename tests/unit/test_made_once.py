"""What tests install below the user's cache is there whole or not at all, whoever is faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.made_once import InstallationError, make_once

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_is_filled_once(tmp_path: Path) -> None:
    filled: list[Path] = []
    make_once(tmp_path / "cache" / "a", filled.append)
    make_once(tmp_path / "cache" / "a", filled.append)

    assert len(filled) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["a"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(unfinished: Path) -> None:
        (unfinished / "half").touch()
        raise InstallationError("no registry")

    with pytest.raises(InstallationError):
        make_once(tmp_path / "cache" / "a", fail)

    assert list((tmp_path / "cache").iterdir()) == []


def test_who_is_slower_takes_what_is_there(tmp_path: Path) -> None:
    def be_beaten(unfinished: Path) -> None:
        (unfinished / "ours").touch()
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "theirs").touch()

    make_once(tmp_path / "a", be_beaten)

    assert [path.name for path in (tmp_path / "a").iterdir()] == ["theirs"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
