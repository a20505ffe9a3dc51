"""`make bench`: everything, or `python -m benchmarks engine|comparison|network|saturation|disk|sync|logs|indexer|simulation|testnet|faucet|gateway|viewers|pages|services`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks import (
    chains,
    comparison,
    disk,
    faucet,
    gateway,
    indexer,
    logs,
    network,
    pages,
    saturation,
    services,
    simulation,
    sync,
    testnet,
    viewers,
)
from benchmarks.report import RESULTS, measured_commit, print_table, save

if TYPE_CHECKING:
    from pathlib import Path

PARTS = (
    "engine",
    "comparison",
    "network",
    "saturation",
    "disk",
    "sync",
    "logs",
    "indexer",
    "simulation",
    "testnet",
    "faucet",
    "gateway",
    "viewers",
    "pages",
    "services",
)
ONCE = {"disk", "saturation", "viewers"}
"""Parts without rounds: each takes its samples in one."""
ENGINE = ("cargo", "bench", "--locked", "-p", "engine")


def main() -> int:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; everything if not given")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (at least three to quote)")
    parser.add_argument("--saturation-s", type=int, default=600, help="how long reads saturate a core")
    parser.add_argument(
        "--blocks",
        type=int,
        default=pages.BLOCKS,
        help="of the index that pages are asked of; fewer to try it",
    )
    parser.add_argument(
        "--transfers",
        type=int,
        default=services.TRANSFERS,
        help="that the services' index is filled with; fewer to try it",
    )
    arguments = parser.parse_args()
    parts = tuple(arguments.parts) or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    missing = chains.missing_tools()
    if missing and not set(parts) <= {
        "engine",
        "disk",
        "sync",
        "logs",
        "indexer",
        "simulation",
        "testnet",
        "faucet",
        "viewers",
        "pages",
        "services",
    }:
        print(f"not installed: {', '.join(missing)}; apt-get install wrk golang npm", file=sys.stderr)
        return 1
    commit = measured_commit()
    for part in parts:
        print(f"==> {part}", flush=True)
        match part:
            case "engine":
                _run_engine(RESULTS / "engine.txt", commit)
                continue
            case "comparison":
                figures = list(comparison.measure(arguments.rounds))
            case "network":
                figures = list(network.measure(arguments.rounds))
            case "disk":
                figures = list(disk.measure())
            case "sync":
                figures = list(sync.measure(arguments.rounds))
            case "logs":
                figures = list(logs.measure(arguments.rounds))
            case "indexer":
                figures = list(indexer.measure(arguments.rounds))
            case "faucet":
                figures = list(faucet.measure(arguments.rounds))
            case "gateway":
                figures = list(gateway.measure(arguments.rounds))
            case "simulation":
                figures = list(simulation.measure(arguments.rounds))
            case "testnet":
                figures = list(testnet.measure(arguments.rounds))
            case "viewers":
                figures = list(viewers.measure())
            case "pages":
                figures = list(pages.measure(arguments.rounds, arguments.blocks))
            case "services":
                figures = list(services.measure(arguments.rounds, arguments.transfers))
            case _:
                figures = list(saturation.measure(arguments.saturation_s))
        print_table(figures)
        save(RESULTS / f"{part}.json", figures, commit=commit, rounds=1 if part in ONCE else arguments.rounds)
    return 0


def _run_engine(result: Path, commit: str) -> None:
    """The benchmarks of the Rust engine, which print their own tables."""
    lines = [f"commit {commit}\n"]
    with subprocess.Popen(ENGINE, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode != 0:
        raise SystemExit(process.returncode)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text("".join(line for line in lines if line.strip() and not line.startswith("running ")))


if __name__ == "__main__":
    sys.exit(main())
