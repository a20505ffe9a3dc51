"""The tables of pages in `README.md`, written from `results/pages.json`: `python -m benchmarks.page_table`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.pages import READERS
from benchmarks.report import RESULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

README: Final = Path(__file__).parent / "README.md"
BEGIN: Final = "<!-- pages -->\n"
END: Final = "<!-- end -->\n"
_NAMES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_COLUMNS: Final = ("p50", "p95", "longest")


def page_tables(document: Mapping[str, Any]) -> str:
    """Return a table for each database: medians of rounds, in milliseconds and bytes."""
    found: dict[str, dict[str, float]] = {}
    for figure in document["figures"]:
        found.setdefault(figure["chain"], {})[figure["measure"]] = figure["median"]
    return "\n".join(_table(document, database, figures) for database, figures in found.items())


def written(readme: str, tables: str) -> str:
    """Return the document with other tables."""
    before, _, rest = readme.partition(BEGIN)
    _, mark, after = rest.partition(END)
    assert mark, f"{README.name} has no {BEGIN.strip()} before a {END.strip()}"
    return f"{before}{BEGIN}{tables}{END}{after}"


def _table(document: Mapping[str, Any], database: str, figures: Mapping[str, float]) -> str:
    heads = [f"{column}, {who}" for who in READERS for column in _COLUMNS]
    blocks = f"{figures['blocks in the index']:,.0f}"
    memory = f"{figures['memory of the explorer, MB']:,.0f}"
    head = (
        f"On {_NAMES[database]}, an index of {blocks} blocks, medians of {document['rounds']} rounds of {document['measured_at'][:10]}, commit {document['commit']}, "
        f"{document['machine']['cores']} processors, in milliseconds; the explorer had {memory} MB:"
    )
    lines = [
        head,
        "",
        f"| page | {' | '.join(heads)} | HTML, bytes | compressed |",
        f"|---|{'---|' * (len(heads) + 2)}",
    ]
    for kind in (name.removesuffix(": HTML bytes") for name in figures if name.endswith(": HTML bytes")):
        times = [f"{figures[f'{kind}: {column} ms, {who}']:.0f}" for who in READERS for column in _COLUMNS]
        sizes = [f"{figures[f'{kind}: HTML bytes{which}']:,.0f}" for which in ("", ", compressed")]
        lines.append(f"| {kind} | {' | '.join([*times, *sizes])} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the tables."""
    document = json.loads((RESULTS / "pages.json").read_text())
    README.write_text(written(README.read_text(), page_tables(document)))


if __name__ == "__main__":
    main()
