"""Figures as a table for people and JSON for the next run."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Figure:
    """One measured figure."""

    measure: str
    chain: str
    median: float
    low: float
    high: float
    target: str = ""


def print_table(figures: list[Figure]) -> None:
    """Print every figure with its spread, and ours as a ratio of the others'."""
    ours = {figure.measure: figure.median for figure in figures if figure.chain.startswith("metanode")}
    width = max(len(figure.measure) for figure in figures)
    print(f"{'measure':<{width}}  {'chain':<12} {'median':>12} {'low':>12} {'high':>12}  ours/theirs  target")
    for figure in sorted(figures, key=lambda f: (f.measure, f.chain)):
        ratio = ""
        if figure.measure in ours and not figure.chain.startswith("metanode") and figure.median:
            ratio = f"{ours[figure.measure] / figure.median:.2f}"
        print(
            f"{figure.measure:<{width}}  {figure.chain:<12} {figure.median:>12,.2f} {figure.low:>12,.2f} {figure.high:>12,.2f}"
            f"  {ratio:>11}  {figure.target}"
        )


def measured_commit() -> str:
    """Return the commit of this tree, and `-dirty` behind it where the tree differs from it; "unknown" where git can't tell.

    Results do not count as a difference: each part of one run writes some.
    """
    try:
        commit = _git("describe", "--always", "--abbrev=12", "--exclude=*")
        changed = _git(
            "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{RESULTS.relative_to(ROOT)}"
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if changed else commit


def save(path: Path, figures: list[Figure], *, commit: str, rounds: int) -> None:
    """Write the figures with what they were measured on.

    Args:
        path: The file that is written.
        figures: What it says.
        commit: What `measured_commit` said when the run began; the tree may be another one when it ends.
        rounds: How often everything was measured; each figure is their median.
    """
    document = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit,
        "rounds": rounds,
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "kernel": platform.release(),
        },
        "figures": [asdict(figure) for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def _git(*arguments: str) -> str:
    done = subprocess.run(("git", "-C", str(ROOT), *arguments), capture_output=True, check=True, text=True)
    return done.stdout.strip()
