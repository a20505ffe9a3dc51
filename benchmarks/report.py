"""Figures as a table for people and JSON for the next run."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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


def save(path: Path, figures: list[Figure]) -> None:
    """Write the figures with what they were measured on."""
    document = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "kernel": platform.release(),
        },
        "figures": [asdict(figure) for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")
