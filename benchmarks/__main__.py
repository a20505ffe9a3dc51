"""`make bench`: everything, or `python -m benchmarks engine|comparison|network`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import chains, comparison, network
from benchmarks.report import Figure, print_table, save

RESULTS = Path(__file__).parent / "results" / "latest.json"


def main() -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", default=["engine", "comparison", "network"], help="engine, comparison, network"
    )
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (at least three to quote)")
    arguments = parser.parse_args()
    missing = chains.missing_tools()
    if missing and "comparison" in arguments.parts:
        print(f"not installed: {', '.join(missing)}; apt-get install wrk golang npm", file=sys.stderr)
        return 1
    figures: list[Figure] = []
    if "engine" in arguments.parts:
        subprocess.run(["cargo", "bench", "--locked", "-p", "engine"], check=True)
    if "comparison" in arguments.parts:
        figures += comparison.measure(arguments.rounds)
    if "network" in arguments.parts:
        figures += network.measure(arguments.rounds)
    if figures:
        print_table(figures)
        save(RESULTS, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
