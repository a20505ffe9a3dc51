"""A wheel carries the documentation's pages, so that a deployment's services show them too."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from sdk.testnet.deployment.image.wheel import make_wheel
from sdk.testnet.services import docs

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_what_the_checkout_built_is_shown_by_who_installs_its_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, installed = tmp_path / "build", tmp_path / "site-packages"
    (built / "guide").mkdir(parents=True)
    for name in ("index.html", "guide/alerts.html", "sitemap.xml"):
        (built / name).write_text(name)
    monkeypatch.setattr(docs, "BUILT", built)
    with zipfile.ZipFile(io.BytesIO(make_wheel())) as wheel:
        wheel.extractall(installed)

    place = docs.CARRIED.relative_to(docs.CARRIED.parents[3])
    assert place.as_posix() == "sdk/testnet/services/documentation"
    monkeypatch.setattr(docs, "BUILT", tmp_path / "no checkout")
    monkeypatch.setattr(docs, "CARRIED", installed / place)
    assert docs.find_docs(docs.AUTO, tmp_path) == installed / place
    carried = {path.relative_to(installed / place).as_posix() for path in (installed / place).rglob("*.html")}
    assert carried == {"index.html", "guide/alerts.html"}
    assert not (installed / place / "sitemap.xml").exists(), "it names the day of the build"


def test_without_pages_none_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "BUILT", tmp_path)
    monkeypatch.setattr(docs, "CARRIED", tmp_path)
    assert docs.find_docs(docs.AUTO, tmp_path) is None
