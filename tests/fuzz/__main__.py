"""`python -m tests.fuzz --seed N --runs M`: our engine against the executable specification, on random chains.

Ends with 0 when they agreed on everything, 1 on a difference, 2 when the specification is not there or gave up too often.
"""

import argparse
import datetime as dt
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz.campaign import UNDECIDED_MAX, Tally, lines, run_campaign
from tests.fuzz.drawing import BLOCKS_MAX, TRANSACTIONS_MAX, WAY_WEIGHTS, draw_scenario
from tests.fuzz.playing import play
from tests.fuzz.reference import LOCK, Reference, ReferenceAbsent, install
from tests.fuzz.scenario import load

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "build" / "fuzz-evm"
PROGRESS_EVERY: Final = 50
"""Scenarios."""


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=600, help="scenarios, from the first on")
    parser.add_argument("--first", type=int, default=0, help="the first run of the seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--transitions", type=int, default=0, help="fail when there were fewer")
    parser.add_argument("--replay", type=Path, help="play a saved scenario again")
    parser.add_argument("--our-fork", help="put our engine under other rules, to see a difference found")
    parser.add_argument("--report", type=Path, help="also write what ran into this Markdown file")
    parser.add_argument("--commit", default="unknown", help="what the report says of the code")
    options = parser.parse_args(arguments)
    print(f"the specification is {_version()}", flush=True)
    try:
        python = install()
    except ReferenceAbsent as absent:
        print(absent, file=sys.stderr)
        return 2
    return _replay(options, python) if options.replay else _campaign(options, python)


def _replay(options: argparse.Namespace, python: Path) -> int:
    scenario = load(options.replay)
    transactions = sum(len(block.transactions) for block in scenario.blocks)
    print(
        f"seed={scenario.seed} run={scenario.run} fork={scenario.fork} way={scenario.way} blocks={len(scenario.blocks)} "
        f"transactions={transactions} accounts={len(scenario.accounts)}",
        flush=True,
    )
    with Reference(python) as specification:
        finding = play(scenario, specification, our_fork=options.our_fork).finding
    print(finding or "both agree")
    return 0 if finding is None else 1


def _campaign(options: argparse.Namespace, python: Path) -> int:
    weights = ",".join(f"{way}:{weight}" for way, weight in WAY_WEIGHTS.items())
    print(
        f"seed={options.seed} runs={options.first}..{options.first + options.runs - 1} jobs={options.jobs} ways={weights} "
        f"blocks<={BLOCKS_MAX} transactions<={TRANSACTIONS_MAX} each",
        flush=True,
    )
    started = time.monotonic()

    def report(tally: Tally) -> None:
        done = sum(tally.forks.values())
        if done % PROGRESS_EVERY == 0:
            print(
                f"  {done} scenarios, {tally.transitions} transitions, {time.monotonic() - started:.0f} s",
                flush=True,
            )

    runs = range(options.first, options.first + options.runs)
    tally = run_campaign(
        (draw_scenario(options.seed, run) for run in runs),
        python,
        jobs=options.jobs,
        directory=DIRECTORY,
        our_fork=(lambda _: options.our_fork) if options.our_fork else None,
        report=report,
    )
    for line in lines(tally):
        print(line)
    took_s = time.monotonic() - started
    print(f"{took_s:.0f} s")
    for found in tally.found:
        print(f"\n{found.finding}\n  again: python -m tests.fuzz --replay {found.path}")
    for sentence in tally.undecided:
        print(f"\nundecided: {sentence}")
    if options.report:
        options.report.write_text(page(tally, options, took_s))
    if tally.found:
        return 1
    if len(tally.undecided) > UNDECIDED_MAX:
        return 2
    if tally.transitions < options.transitions:
        print(f"{tally.transitions} transitions, {options.transitions} are wanted: more runs, please")
        return 1
    return 0


def page(tally: Tally, options: argparse.Namespace, took_s: float) -> str:
    """The campaign as a page of `docs/evidence`."""
    command = f"make fuzz-evm SEED={options.seed} RUNS={options.runs}"
    table = "\n".join(lines(tally))
    return f"""# Our engine against the executable specification

Written by `{command} REPORT=1` on {dt.datetime.now(dt.UTC):%Y-%m-%d} at commit {options.commit}; it took {took_s:.0f} s
with {options.jobs} pairs of engine and specification side by side.

Each scenario is a chain of one to three blocks out of a seed: accounts with odd balances, nonces, storage and random programs; transactions of
types 0, 1, 2 and 4 that call, create, use precompiles and system contracts, delegate, or may be in no block. The specification is EELS
(`{_version()}` from PyPI) in an environment of its own. Either it makes the blocks and our engine judges them, or our engine builds
them from its pool and the specification has to come to the same bytes: state root, receipts root, logs bloom, gas used, base fee, blob
gas and requests hash are in these bytes. Each transaction that the specification refuses also goes into a block of its own that our engine
has to refuse, for the transaction's sake. Or there is no chain: transactions run on a state under the rules of any fork from Frontier on,
and roots, logs bloom and gas are compared.

```
{table}
```

What is not in it: blob transactions (our networks carry none), rewards and ommers of proof of work, and changes of rules in the middle of a
chain (the official cases of [conformance.md](conformance.md) have these). This release of the specification checks the chain id of legacy transactions only; the
fuzzer adds that check for the other types, and changes nothing else in it.

That the fuzzer can fail is tested (`pytest tests/fuzz`): with our engine under the rules of Prague it finds the difference and makes it small;
so it does with one bit changed in a root, in a verdict, or in the genesis.
"""


def _version() -> str:
    line = next(line for line in LOCK.read_text().splitlines() if line.startswith("ethereum-execution=="))
    return line.split()[0]


if __name__ == "__main__":
    sys.exit(main())
